"""The id of a record that has none of its own: the hash of what makes it the same thing, as landing computes it."""

from __future__ import annotations

import polars as pl

from pipelines.landing.times import instant_text
from pipelines.storage.hashing import identifiers
from schemas.contract import Column
from schemas.entities import Entity


def natural_id(entity: Entity) -> pl.Expr:
    """Hash of the natural key of each row, from the typed columns; a missing part counts as empty text."""
    columns = {column.name: column for column in entity.columns}
    return identifiers([_text(columns[name]) for name in entity.natural_key])


def _text(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    return (instant_text(value) if column.kind == "timestamp" else value.cast(pl.String)).fill_null("")
