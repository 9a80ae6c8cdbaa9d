"""What differs between two revisions: rows added, changed and removed, by primary key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from pipelines.exports.stream import PIECE, write_pieces
from pipelines.storage.hashing import subject_key

CHANGES = ("added", "changed", "removed")

#: Name of the rows, rows before, rows now, and the columns that identify a row, not null together.
Compared = tuple[str, pl.LazyFrame, pl.LazyFrame, Sequence[str]]


def write_changes(path: Path, compared: Sequence[Compared]) -> dict[str, int]:
    """Write the rows that differ, a share of each pair in memory at once.

    Args:
        path: of the Parquet file; ``file`` String, ``change`` String (added, changed or removed), then the columns of
            all keys, null where a file does not have them; sorted by key within a share.
        compared: pairs of the same columns; a column that the rows before lack counts as null.

    Returns:
        Number of rows by kind of change.
    """
    schema: dict[str, pl.DataType] = {"file": pl.String(), "change": pl.String()}
    for _, _, after, key in compared:
        kinds = after.collect_schema()
        schema |= {name: kinds[name] for name in key}
    found = dict.fromkeys(CHANGES, 0)

    def shares() -> Iterator[pl.DataFrame]:
        for file, before, after, key in compared:
            for rows in _by_share(file, before, after, key):
                for change, number in rows.group_by("change").len().iter_rows():
                    found[change] += int(number)
                lacking = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in rows]
                yield rows.with_columns(lacking).select(list(schema))

    write_pieces(path, shares(), pl.Schema(schema), list(schema))
    return found


def _by_share(file: str, before: pl.LazyFrame, after: pl.LazyFrame, key: Sequence[str]) -> Iterator[pl.DataFrame]:
    heights = pl.collect_all([before.select(pl.len()), after.select(pl.len())])
    shares = max(frame.item() for frame in heights) // PIECE + 1
    if shares == 1:
        yield row_changes(file, before.collect(), after.collect(), key)
        return
    for share in range(shares):
        sides = [_share(rows, key, share, shares) for rows in (before, after)]
        old, new = pl.collect_all(sides, engine="streaming")
        yield row_changes(file, old, new, key)


def _share(rows: pl.LazyFrame, key: Sequence[str], share: int, shares: int) -> pl.LazyFrame:
    texts = [pl.col(name).cast(pl.String).fill_null("") for name in key]
    named = rows.with_columns(pl.concat_str(texts, separator="\x1f").alias("_key"))
    return named.filter(subject_key("_key").reinterpret(signed=False) % shares == share).drop("_key")


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
