"""Alembic revisions of the control data, applied by ``pipelines.storage.control.migrate``."""
