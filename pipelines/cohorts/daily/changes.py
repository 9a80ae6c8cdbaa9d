"""Which rows of a stream begin and cease to count on a day, for a window of a number of days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

import numpy as np
import polars as pl

from pipelines.calendar import Day, day_of, days_between
from pipelines.cohorts.daily.space import Ints
from pipelines.cohorts.daily.totals import EVER
from pipelines.cohorts.streams.categories import top_categories
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.visitors import REACH, Visitors
from pipelines.signals.demand import micros

#: Later than any day.
NEVER = 10_000_000


@dataclass(frozen=True)
class Rows:
    """Rows of a stream, days as ordinals.

    Attributes:
        frame: ``subject``, ``at`` (microseconds), ``weight`` and the fields.
        since: day from which on each row counts.
        until: first day on which it does not.
        anchor: day from which windows count.
    """

    frame: pl.DataFrame
    since: Ints
    until: Ints
    anchor: Ints

    def first(self) -> Ints:
        """First day on which each row counts."""
        return np.maximum(self.since, self.anchor)

    def stop(self, days: int) -> Ints:
        """First day on which each row does not count any more in a window of so many days."""
        return np.minimum(self.until, self.anchor + days) if days < EVER else self.until


class Source(Protocol):
    """Where the rows of streams come from.

    Attributes:
        whole: whether ``on`` gives every row that counts, and not only those that begin or cease to.
    """

    whole: bool

    def categories(self) -> pl.DataFrame:
        """``subject``, ``day``, ``category``: what each subject spends most on, as ``streams.categories`` says."""

    def on(self, stream: str, fields: set[str], windows: set[int], day: Day) -> Rows:
        """Rows among which are all that begin or cease to count on a day, as known at its end."""


@dataclass
class VisitorSource:
    """Visitors' rows: those of the day, and those that leave a window on it."""

    visitors: Visitors
    first: date
    whole: bool = False

    def categories(self) -> pl.DataFrame:
        """Of visitors nothing is known."""
        return pl.DataFrame(schema={"subject": pl.String, "day": pl.Int64, "category": pl.String})

    def on(self, stream: str, fields: set[str], windows: set[int], day: Day) -> Rows:
        """Rows anchored on the days that matter; nothing is anchored before the first day."""
        reach = REACH.get(stream, 0)
        zone = self.visitors.tenant.zone
        near = days_between(day.date - timedelta(days=reach), day.date)
        leaving = [day.date - timedelta(days=window) for window in windows if window < EVER]
        found = []
        for each in sorted({*near, *leaving}):
            if each < self.first:
                continue
            rows = self.visitors.rows(stream, fields, each, day.date)
            found.append(_numbered(rows, [day_of(near, zone) for near in days_between(each, each + _REACHED)], each))
        if not found:
            return _nothing(self.visitors.rows(stream, fields, day.date, day.date))
        return Rows(
            pl.concat([rows.frame for rows in found]),
            *(np.concatenate([getattr(rows, name) for rows in found]) for name in ("since", "until", "anchor")),
        )


_REACHED = timedelta(days=max(REACH.values()) + 1)


@dataclass
class CustomerSource:
    """Customers' rows: all of them, numbered once."""

    customers: Customers
    days: list[Day]
    whole: bool = True

    def __post_init__(self) -> None:
        self._kept: dict[tuple[str, str], Rows] = {}

    def categories(self) -> pl.DataFrame:
        """The customers' top categories."""
        return top_categories(self.customers)

    def on(self, stream: str, fields: set[str], windows: set[int], day: Day) -> Rows:
        """All rows of the stream."""
        key = (stream, "\x1f".join(sorted(fields)))
        if key not in self._kept:
            rows = self.customers.rows(stream, fields)
            self._kept[key] = _numbered(rows, self.days, None)
        return self._kept[key]


def _numbered(rows: pl.DataFrame, days: list[Day], anchor: date | None) -> Rows:
    """Rows with the days of their instants; before the first of ``days`` is the day before it, after the last never."""
    ends = np.array([micros(day.end) for day in days], dtype=np.int64)
    first = days[0].date.toordinal()
    start = micros(days[0].start)

    def place(name: str) -> Ints:
        at = rows[name].to_numpy()
        found = np.searchsorted(ends, at, side="right").astype(np.int64) + first
        found[found > days[-1].date.toordinal()] = NEVER
        found[at < start] = first - 1
        return found

    fixed = np.full(rows.height, anchor.toordinal(), dtype=np.int64) if anchor else place("at")
    return Rows(rows, place("since"), place("until"), fixed)


def _nothing(rows: pl.DataFrame) -> Rows:
    none = np.zeros(0, dtype=np.int64)
    return Rows(rows.clear(), none, none, none)
