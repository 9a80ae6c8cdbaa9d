"""What differs between two revisions: rows added, changed and removed, by primary key."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

CHANGES = ("added", "changed", "removed")


def row_changes(file: str, before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Rows that differ between two versions of a file.

    Args:
        file: name of the file, for the first column.
        before: the superseded rows; a column that it lacks counts as null.
        after: the rows now.
        key: columns that identify a row, unique and not null in each frame.

    Returns:
        ``file`` String, ``change`` String (added, changed or removed), then the key columns, sorted by the key.
    """
    names = after.columns
    lacking = [pl.lit(None, dtype=after.schema[name]).alias(name) for name in names if name not in before.columns]
    old = before.with_columns(lacking).select(names).with_columns(pl.lit(True).alias("_old"))
    new = after.with_columns(pl.lit(True).alias("_new"))
    both = new.join(old, on=list(key), how="full", coalesce=True, nulls_equal=True, suffix="_before")
    cells = [name for name in names if name not in key]
    differs = pl.any_horizontal(
        [pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in cells] or [pl.lit(False)]
    )
    change = (
        pl.when(pl.col("_old").is_null())
        .then(pl.lit("added"))
        .when(pl.col("_new").is_null())
        .then(pl.lit("removed"))
        .when(differs)
        .then(pl.lit("changed"))
    )
    return (
        both.select(pl.lit(file).alias("file"), change.alias("change"), *key)
        .filter(pl.col("change").is_not_null())
        .sort(list(key))
    )


def combined(lists: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Change lists of several files below each other; key columns that a file does not have are null."""
    return pl.concat(lists, how="diagonal")


def counts(changes: pl.DataFrame) -> dict[str, int]:
    """Number of rows by kind of change."""
    found = dict(changes.group_by("change").len().iter_rows())
    return {change: int(found.get(change, 0)) for change in CHANGES}
