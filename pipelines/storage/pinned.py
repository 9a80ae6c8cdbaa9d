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
        self._files: dict[str, Mapping[date | None, str]] = {}
        self._rows: dict[str, Mapping[date | None, int]] = {}

    def scan(self, table: str, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """As ``Lake.scan``; partitions without rows are not opened."""
        self._known(table)
        filled = {day: name for day, name in self._files[table].items() if self._rows[table].get(day, 1)}
        return self.lake.scan(table, days, files=filled)

    def filled(self, table: str, day: date) -> bool:
        """Whether a day of a table has rows."""
        self._known(table)
        return bool(self._rows[table].get(day))

    def days(self, table: str) -> list[date]:
        """Days that have rows, sorted."""
        self._known(table)
        return sorted(day for day, rows in self._rows[table].items() if day is not None and rows)

    def _known(self, table: str) -> None:
        if table not in self._files:
            self._files[table] = self.lake.files(table)
            self._rows[table] = self.lake.rows(table)
