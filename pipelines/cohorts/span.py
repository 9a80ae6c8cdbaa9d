"""Consecutive days as one stretch of instants, in Int64 microseconds: what is computed at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import polars as pl

from pipelines.calendar import Day
from pipelines.signals.demand import micros


@dataclass(frozen=True)
class Span:
    """Days without a gap; ``place`` of a day counts from 0.

    Attributes:
        days: in order.
    """

    days: Sequence[Day]

    @property
    def dates(self) -> list[date]:
        """Partitions, in order."""
        return [day.date for day in self.days]

    @property
    def start(self) -> int:
        """First instant."""
        return micros(self.days[0].start)

    @property
    def end(self) -> int:
        """First instant after the last day."""
        return micros(self.days[-1].end)

    @cached_property
    def starts(self) -> list[int]:
        """First instant of each day."""
        return [micros(day.start) for day in self.days]

    @cached_property
    def ends(self) -> pl.Series:
        """First instant after each day."""
        return pl.Series("ends", [micros(day.end) for day in self.days], dtype=pl.Int64)

    def place(self, at: pl.Series) -> pl.Series:
        """Place of the day that an instant falls in: the number of days that ended at it or before."""
        return self.ends.search_sorted(at, side="right").cast(pl.Int64)

    def across(self, rows: pl.DataFrame, after: str, until: str) -> pl.DataFrame:
        """Repeat each row for every day whose end lies in ``(after, until]``.

        Args:
            rows: with the two columns, Int64 microseconds.
            after: column of the instant after which the day must end.
            until: column of the instant up to which it may.

        Returns:
            The rows without the two columns, and ``day``, the place of the day.
        """
        first, stop = self.place(rows[after]).alias("first"), self.place(rows[until]).alias("stop")
        held = rows.drop(after, until).with_columns(first, stop).filter(pl.col("first") < pl.col("stop"))
        once = held.filter(pl.col("first") + 1 == pl.col("stop"))
        often = held.filter(pl.col("first") + 1 < pl.col("stop"))
        repeated = often.with_columns(pl.int_ranges("first", "stop").alias("day")).explode("day")
        columns = [*(name for name in held.columns if name not in ("first", "stop")), "day"]
        return pl.concat([once.rename({"first": "day"}).select(columns), repeated.select(columns)])
