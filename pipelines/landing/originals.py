"""The text from which a value was read, kept only where it cannot be told from the value.

Most senders write a value in one way: instants with milliseconds and ``Z``, whole numbers without leading zeros, dates
by the calendar, true and false. Such a text is null beside its value, and ``original`` gives it back.
"""

from __future__ import annotations

import polars as pl

from schemas.contract import Column

#: Length of ``2026-01-02T10:00:00.000Z``.
_USUAL_WIDTH = 24
_USUAL_INSTANT = "%Y-%m-%dT%H:%M:%S%.3fZ"
_THOUSAND = 1000


def kept(column: Column, texts: pl.Series, value: pl.Series, plain: pl.Series | None = None) -> pl.Series:
    """The texts, null where ``original`` gives the same.

    Args:
        column: what the texts say; no string and no json.
        texts: String, as received.
        value: what was read from them.
        plain: for instants: Boolean, read by the parser that takes nothing but plain RFC 3339 texts.
    """
    usual = _is_usual(column, texts, value, plain).fill_null(False) & value.is_not_null()
    if (usual | texts.is_null()).all():
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))
    return texts.set(usual, None)


def _is_usual(column: Column, texts: pl.Series, value: pl.Series, plain: pl.Series | None) -> pl.Series:
    if column.kind == "timestamp":
        # Of the plain texts only those with milliseconds and Z are so long.
        return texts.str.len_bytes().eq(_USUAL_WIDTH) & (texts.is_null() if plain is None else plain)
    if column.kind == "date":
        return texts.is_not_null()
    if column.kind == "int64":
        leading = texts.str.starts_with("0") & (texts != "0")
        return ~(leading | texts.str.starts_with("-0"))
    return value.to_frame("v").select(_usual(column.kind, pl.col("v"))).to_series() == texts


def original(column: Column) -> pl.Expr:
    """The text of a column of landed rows as it was received; null where there was none."""
    return pl.coalesce(f"{column.name}__text", _usual(column.kind, pl.col(column.name))).alias(column.name)


def _usual(kind: str, value: pl.Expr) -> pl.Expr:
    if kind == "timestamp":
        return value.dt.strftime(_USUAL_INSTANT)
    if kind == "quantity":
        return pl.when(value % _THOUSAND == 0).then((value // _THOUSAND).cast(pl.String))
    return value.cast(pl.String)
