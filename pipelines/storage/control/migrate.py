"""Brings the tables of the control data to the newest revision, once, whoever comes first."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from pipelines.storage.control.engine import reading, writing

FOLDER = Path(__file__).parent / "migrations"
#: Revision that this code expects. A test holds it equal to the newest file.
HEAD = "0004"


def migrate(engine: Engine) -> None:
    """Apply the migrations that are missing; concurrent callers wait for each other."""
    if revision(engine) == HEAD:
        return
    # Alembic takes a third of a second to import, and most commands find nothing to do.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    with writing(engine, alone="migrate") as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


def revision(engine: Engine) -> str | None:
    """Revision of the database; None where it has no tables yet."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found
