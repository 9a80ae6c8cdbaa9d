"""Dagster and nothing else: thin wrappers around the steps of ``pipelines``. No maths, no data read or written."""
