"""Tables of the lake as they were when first asked for, so that their logs are read once for many days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from pipelines.storage.lake import Lake


class Pinned:
    """A lake whose tables stand still."""

    def __init__(self, lake: Lake) -> None:
        """Nothing is read yet."""
        self.lake = lake
        self._tables: dict[str, tuple[Mapping[date | None, str], Mapping[date | None, int]]] = {}

    def scan(self, table: str, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """As ``Lake.scan``; partitions without rows are not opened."""
        files, rows = self._known(table)
        filled = {day: name for day, name in files.items() if rows.get(day, 1)}
        return self.lake.scan(table, days, files=filled)

    def filled(self, table: str, day: date) -> bool:
        """Whether a day of a table has rows."""
        return bool(self._known(table)[1].get(day))

    def days(self, table: str) -> list[date]:
        """Days that have rows, sorted."""
        return sorted(day for day, rows in self._known(table)[1].items() if day is not None and rows)

    def _known(self, table: str) -> tuple[Mapping[date | None, str], Mapping[date | None, int]]:
        """Files and rows by day; both at once, since days are computed ahead in another thread."""
        if table not in self._tables:
            self._tables[table] = self.lake.files(table), self.lake.rows(table)
        return self._tables[table]
