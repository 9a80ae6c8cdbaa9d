"""Instants at the edge of SQL and HTTP: microseconds since the epoch, and RFC 3339 text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


def micros(instant: datetime) -> int:
    """Whole microseconds since the epoch of an aware instant."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_micros(value: int) -> datetime:
    """The UTC instant of whole microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=value)


def rfc3339(value: int) -> str:
    """RFC 3339 in UTC with Z; milliseconds where they are exact, else microseconds."""
    precision = "microseconds" if value % 1000 else "milliseconds"
    return from_micros(value).isoformat(timespec=precision).replace("+00:00", "Z")
