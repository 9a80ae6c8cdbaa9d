"""How much a commit changed: rows added, changed and removed, against the files that were there before.

Small partitions are compared row by row; of large ones only the number of rows is, from the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.storage.lake import Commit, Lake
from schemas.registry import LAKE

#: Rows, old and new together, up to which a partition, and all partitions of a commit, are compared row by row.
ROWS_OF_PARTITION, ROWS_OF_COMMIT = 20_000, 200_000


@dataclass(frozen=True)
class RowChanges:
    """Rows of one partition that a commit added, changed (same primary key) and removed.

    ``exact`` is false where only numbers of rows were compared, so that at least so many rows differ.
    """

    added: int
    changed: int
    removed: int
    exact: bool = True

    @property
    def total(self) -> int:
        """Rows that differ."""
        return self.added + self.changed + self.removed


@dataclass(frozen=True)
class Before:
    """Files and rows of a table before a run."""

    files: Mapping[date | None, str]
    rows: Mapping[date | None, int]


def before(lake: Lake, table: str) -> Before:
    """What is there now; nothing for what is not a lake table."""
    return Before(lake.files(table), lake.rows(table)) if table in LAKE else Before({}, {})


def row_changes(lake: Lake, commit: Commit, was: Before) -> dict[date | None, RowChanges]:
    """By partition that the commit computed; those that are equal have no changes."""
    if commit.table not in LAKE:
        return {}
    files, compared, found = lake.files(commit.table), 0, {}
    for day in commit.rows:
        old, new = was.rows.get(day, 0), commit.rows[day]
        if day not in commit.changed:
            found[day] = RowChanges(0, 0, 0)
        elif not old or not new:
            found[day] = RowChanges(new, 0, old)
        elif old + new > ROWS_OF_PARTITION or compared + old + new > ROWS_OF_COMMIT:
            found[day] = RowChanges(max(new - old, 0), int(new == old), max(old - new, 0), exact=False)
        else:
            compared += old + new
            found[day] = _compared(lake, commit.table, was.files[day], files[day])
    return found


def _compared(lake: Lake, table: str, old: str, new: str) -> RowChanges:
    key = [name for name in LAKE[table].primary_key if name != "date"]
    names = [name for name in LAKE[table].names if name != "date" or not LAKE[table].partitioned]
    schema = {column.name: column.dtype for column in LAKE[table] if column.name in names}
    sides = [
        pl.scan_parquet(
            lake.root / table / path,
            schema=schema,
            hive_partitioning=False,
            missing_columns="insert",
            extra_columns="ignore",
        ).collect()
        for path in (old, new)
    ]
    gone, come = (
        one.join(other, on=names, how="anti", nulls_equal=True).select(key or names)
        for one, other in (sides, sides[::-1])
    )
    changed = gone.join(come, on=gone.columns, how="semi", nulls_equal=True).height
    return RowChanges(come.height - changed, changed, gone.height - changed)
