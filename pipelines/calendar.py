"""Tenant days: the one place that turns a partition key into instants and an instant into a day.

A day is a calendar day of the tenant's zone, 23 or 25 hours long when the clocks change. Windows are half-open,
``[start, end)``; the ``as_of`` of a day is its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

#: Days that can be partitions. From 2100 on, columns know no summer time any more while ``zoneinfo`` does.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)


@dataclass(frozen=True)
class Day:
    """One tenant day as UTC instants: ``start <= t < end``."""

    date: date
    start: datetime
    end: datetime

    @property
    def as_of(self) -> datetime:
        """The instant at which the day's partition is evaluated: its end."""
        return self.end


def day_of(day: date, zone: ZoneInfo) -> Day:
    """Bounds of a calendar day in UTC.

    A midnight that a clock change skips becomes the first instant that exists; one that happens twice, the first.
    """
    return Day(day, _midnight(day, zone), _midnight(day + timedelta(days=1), zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    instant = local.astimezone(UTC)
    # A wall time inside a gap maps back to another wall time; the gap's end is what both sides agree on.
    if instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        instant = local.replace(fold=1).astimezone(UTC)
        while instant.astimezone(zone).date() < day:
            instant += timedelta(minutes=1)
        while (instant - timedelta(minutes=1)).astimezone(zone).date() >= day:
            instant -= timedelta(minutes=1)
    return instant


def days_between(first: date, last: date) -> list[date]:
    """Every calendar day from first to last, both included; empty when last is before first."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def local_date(instant: pl.Expr, zone: ZoneInfo) -> pl.Expr:
    """The tenant day of a UTC instant column, as a Date."""
    return instant.dt.convert_time_zone(zone.key).dt.date()


def span(days: Sequence[date], zone: ZoneInfo) -> tuple[datetime, datetime]:
    """First instant of the first day and end of the last."""
    return day_of(min(days), zone).start, day_of(max(days), zone).end


@cache
def known_zone(name: str) -> bool:
    """Whether the name is an IANA zone, for single instants and for columns alike."""
    if name not in available_timezones():
        return False
    try:
        pl.select(pl.lit(datetime(2000, 1, 1, tzinfo=UTC)).dt.convert_time_zone(name))
    except pl.exceptions.ComputeError:
        # Files of one machine, such as localtime, that no other machine knows.
        return False
    return True
