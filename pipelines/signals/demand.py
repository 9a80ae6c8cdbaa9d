"""Counts of views, adds and sale lines over windows that end on the hourly UTC grid.

Running sums add the newest hour and take away the one that leaves. States read them at every grid instant, snapshots at
the last one of a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.signals.arrays import Ints, Products
from pipelines.signals.units import HOUR, MINUTE

QUARTER = 15 * MINUTE
WEEK_HOURS = 168
#: Name of a count in definitions -> its column in ``product_hourly``.
ACTS = {"views": "views", "add_to_bags": "adds", "purchases": "purchases"}
#: Windows in whole hours that states need, by act; others are those that definitions name.
NEEDED = {"views": (1, 24, 168, 696), "add_to_bags": (24,), "purchases": (1, 24, 168)}
NEVER = np.iinfo(np.int64).max
#: Demand since a product was first seen.
DEFAULTS = {"first_seen": NEVER, "ever_views": 0, "ever_add_to_bags": 0}

_LATER = np.iinfo(np.int64).max
Chunk = tuple[Ints, Ints]
Windows = Mapping[str, tuple[int, ...]]


@dataclass
class Hours:
    """Counts by UTC hour (whole hours since the epoch) that a window may still need.

    Attributes:
        counts: by act and hour.
        quarters: of the last quarter of the hour, by act and hour.
        loaded: partitions that were read.
        active: products with any count, by partition.
    """

    counts: dict[str, dict[int, list[Chunk]]] = field(default_factory=lambda: {act: {} for act in ACTS})
    quarters: dict[str, dict[int, list[Chunk]]] = field(default_factory=lambda: {act: {} for act in ACTS})
    loaded: set[date] = field(default_factory=set)
    active: dict[date, Ints] = field(default_factory=dict)

    def load(self, day: date, frame: pl.DataFrame, products: Products) -> None:
        """Add the rows of one partition of ``product_hourly``, once.

        Args:
            day: the partition.
            frame: ``product_id``, ``hour``, and for each act its column and the same with ``_last_15m``.
            products: gives each product its index.
        """
        if day in self.loaded:
            return
        self.loaded.add(day)
        seen = frame.filter(pl.any_horizontal(pl.col(name) != 0 for name in ACTS.values()))
        index = products.index(seen["product_id"])
        hours = seen["hour"].dt.epoch("us").to_numpy() // HOUR
        self.active = {day: np.unique(index)}
        order = np.argsort((hours - hours.min(initial=_LATER)).astype(np.uint8), kind="stable")
        index, hours = index[order], hours[order]
        edges = np.flatnonzero(np.diff(hours, prepend=-1, append=-1)) if len(hours) else np.zeros(0, dtype=np.int64)
        bounds = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        for act, column in ACTS.items():
            for store, name in ((self.counts[act], column), (self.quarters[act], f"{column}_last_15m")):
                values = seen[name].to_numpy()[order]
                for start, end in bounds:
                    some = values[start:end] != 0
                    if some.any():
                        chunk = (index[start:end][some], values[start:end][some])
                        store.setdefault(int(hours[start]), []).append(chunk)

    def at(self, act: str, hour: int) -> list[Chunk]:
        """Counts of one hour."""
        return self.counts[act].get(hour, [])

    def forget(self, before: int) -> None:
        """Drop hours that no window reaches any more."""
        for stores in (self.counts, self.quarters):
            for store in stores.values():
                for hour in [hour for hour in store if hour < before]:
                    del store[hour]

    def since(self) -> int:
        """First hour with any count, ``NEVER`` without one."""
        return min((min(store) for store in self.counts.values() if store), default=NEVER)


def grid(day: Day) -> list[int]:
    """Hours h whose start is a grid instant of the day: ``start < h <= end``; what is seen there is data before h."""
    first = micros(day.start) // HOUR + 1
    return list(range(first, micros(day.end) // HOUR + 1))


def micros(instant: datetime) -> int:
    """Microseconds since the epoch, exactly."""
    return (instant - datetime(1970, 1, 1, tzinfo=instant.tzinfo)) // timedelta(microseconds=1)


def needed_days(day: Day, lags: Iterable[int], zone: ZoneInfo) -> list[date]:
    """Partitions that hold an hour which lies so many hours before one that the day adds."""
    hours = {hour - 1 - lag for hour in (grid(day)[0] - 1, *grid(day)) for lag in {0, *lags}}
    minutes = {hour * 60 + minute for hour in hours for minute in (0, 59)}
    return sorted({datetime.fromtimestamp(minute * 60, tz=zone).date() for minute in minutes})


@dataclass
class Touched:
    """Products whose counts moved at a grid instant, in parts that may overlap.

    Attributes:
        momentum: whose views of a day or of the baseline moved.
        life: that were viewed, added or bought, or whose sale lines of a week moved.
        seen: that were viewed in the last week and were not before, or the other way round.
        fresh: that were seen for the first time.
    """

    momentum: list[Ints] = field(default_factory=list)
    life: list[Ints] = field(default_factory=list)
    seen: list[Ints] = field(default_factory=list)
    fresh: list[Ints] = field(default_factory=list)


def advance(products: Products, hours: Hours, hour: int, windows: Windows) -> Touched:
    """Move every running sum, and what is counted since a product was first seen, from the grid instant before."""
    first_seen = products["first_seen"]
    touched = Touched()
    for act, widths in windows.items():
        entering = hours.at(act, hour - 1)
        for index, count in entering:
            fresh = index[first_seen[index] > (hour - 1) * HOUR]
            first_seen[fresh] = (hour - 1) * HOUR
            touched.fresh.append(fresh)
            touched.life.append(index)
            if f"ever_{act}" in products.columns:
                products[f"ever_{act}"][index] += count
        for width in widths:
            leaving = hours.at(act, hour - 1 - width)
            _move(products[column(act, width)], entering, leaving, act, width, touched)
    touched.momentum += [index for index, _ in hours.at("views", hour - 1)]
    return touched


def _move(sums: Ints, entering: list[Chunk], leaving: list[Chunk], act: str, width: int, touched: Touched) -> None:
    watched = (act, width) == ("views", WEEK_HOURS)
    for index, count in entering:
        if watched:
            touched.seen.append(index[sums[index] == 0])
        sums[index] += count
    for index, count in leaving:
        sums[index] -= count
        if watched:
            touched.seen.append(index[sums[index] == 0])
        if (act, width) in (("views", 24), ("views", 696)):
            touched.momentum.append(index)
        if (act, width) == ("purchases", WEEK_HOURS):
            touched.life.append(index)


def window_counts(products: Products, hours: Hours, hour: int, act: str, width: int) -> Ints:
    """Count in ``[hour - width, hour)`` by product; 15 minutes, or whole hours with a running sum."""
    if width != QUARTER:
        return products[column(act, width // HOUR)].copy()
    counts = np.zeros(products.height, dtype=np.int64)
    for index, count in hours.quarters[act].get(hour - 1, []):
        counts[index] += count
    return counts


def column(act: str, hours: int) -> str:
    """Name of the running sum of a window of whole hours."""
    return f"{act}_{hours}h"
