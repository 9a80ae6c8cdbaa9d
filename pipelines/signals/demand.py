"""Counts over windows that end on the hourly UTC grid.

Running sums add the newest hour and take away the one that leaves. Momentum reads them at every grid
instant, snapshots at the last one of a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.signals.arrays import Ints, Products
from pipelines.signals.units import HOUR, MINUTE

QUARTER = 15 * MINUTE
RECENT_HOURS = 24
HISTORY_HOURS = 29 * 24
NEVER = np.iinfo(np.int64).max

Chunk = tuple[Ints, Ints]


@dataclass
class Hours:
    """Views by UTC hour (whole hours since the epoch) that a window may still need."""

    views: dict[int, list[Chunk]] = field(default_factory=dict)
    quarters: dict[int, list[Chunk]] = field(default_factory=dict)
    loaded: set[date] = field(default_factory=set)

    def load(self, day: date, frame: pl.DataFrame, products: Products) -> None:
        """Add the rows of one partition of ``product_hourly``, once.

        Args:
            day: the partition.
            frame: ``product_id``, ``hour``, ``views``, ``views_last_15m``.
            products: gives each product its index.
        """
        if day in self.loaded:
            return
        self.loaded.add(day)
        seen = frame.filter(pl.col("views") != 0).sort("hour", "product_id")
        index = products.index(seen["product_id"])
        hours = seen["hour"].dt.epoch("us").to_numpy() // HOUR
        views, quarter = seen["views"].to_numpy(), seen["views_last_15m"].to_numpy()
        edges = np.flatnonzero(np.diff(hours, prepend=-1, append=-1)) if len(hours) else np.zeros(0, dtype=np.int64)
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            hour = int(hours[start])
            self.views.setdefault(hour, []).append((index[start:end], views[start:end]))
            late = quarter[start:end] != 0
            self.quarters.setdefault(hour, []).append((index[start:end][late], quarter[start:end][late]))

    def forget(self, before: int) -> None:
        """Drop hours that no window reaches any more."""
        for store in (self.views, self.quarters):
            for hour in [hour for hour in store if hour < before]:
                del store[hour]


def grid(day: Day) -> list[int]:
    """Hours h whose start is a grid instant of the day: ``start < h <= end``; what is seen there is data before h."""
    first = micros(day.start) // HOUR + 1
    return list(range(first, micros(day.end) // HOUR + 1))


def micros(instant: datetime) -> int:
    """Microseconds since the epoch, exactly."""
    return (instant - datetime(1970, 1, 1, tzinfo=instant.tzinfo)) // timedelta(microseconds=1)


def needed_days(day: Day, windows: Iterable[int], zone: ZoneInfo) -> list[date]:
    """Partitions that hold an hour which enters or leaves a window (whole hours) during the day."""
    lags = {0, *windows}
    hours = {hour - 1 - lag for hour in grid(day) for lag in lags}
    minutes = {hour * 60 + minute for hour in hours for minute in (0, 59)}
    return sorted({datetime.fromtimestamp(minute * 60, tz=zone).date() for minute in minutes})


def advance(products: Products, hours: Hours, hour: int, windows: Sequence[int]) -> None:
    """Move every running sum ``views_<hours>h`` from the grid instant before to ``hour``."""
    for window in windows:
        sums = products[column(window)]
        for index, views in hours.views.get(hour - 1, []):
            sums[index] += views
        for index, views in hours.views.get(hour - 1 - window, []):
            sums[index] -= views
    first_seen = products["first_seen"]
    for index, _ in hours.views.get(hour - 1, []):
        first_seen[index] = np.minimum(first_seen[index], (hour - 1) * HOUR)


def window_counts(products: Products, hours: Hours, hour: int, window: int) -> Ints:
    """Views in ``[hour - window, hour)`` by product; windows are 15 minutes or whole hours with a running sum."""
    if window != QUARTER:
        return products[column(window // HOUR)].copy()
    counts = np.zeros(products.height, dtype=np.int64)
    for index, views in hours.quarters.get(hour - 1, []):
        counts[index] += views
    return counts


def column(window: int) -> str:
    """Name of the running sum of a window of whole hours."""
    return f"views_{window}h"
