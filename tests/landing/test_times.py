"""Instants and dates: each documented rule."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing import times

LONDON = ZoneInfo("Europe/London")


def instant(text: str, zone: str | None = None) -> datetime | None:
    zones = pl.Series([zone], dtype=pl.String)
    return times.instants(pl.Series([text]), zones, LONDON).item()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", utc(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02t03:04:05z", utc(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02 03:04:05Z", utc(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T03:04Z", utc(2026, 1, 2, 3, 4)),
        ("2026-01-02T03:04:05.5+01:30", utc(2026, 1, 2, 1, 34, 5, 500_000)),
        ("2026-01-02T03:04:05.123Z", utc(2026, 1, 2, 3, 4, 5, 123_000)),
        ("2026-01-02T03:04:05.123456Z", utc(2026, 1, 2, 3, 4, 5, 123_456)),
        ("2026-01-02T03:04:05.1234569Z", utc(2026, 1, 2, 3, 4, 5, 123_456)),
        ("2016-12-31T23:59:60Z", utc(2016, 12, 31, 23, 59, 59, 999_999)),
        ("0001-01-01T00:00:00Z", utc(1, 1, 1)),
        ("9999-12-31T23:59:59Z", utc(9999, 12, 31, 23, 59, 59)),
        ("0001-01-01T00:00:00+01:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("2026-01-02T24:00:00Z", None),
        ("2026-01-02T03:04:61Z", None),
        ("2026-01-02T03:04:05+24:00", None),
        ("2026-02-29T00:00:00Z", None),
        ("2026-01-02", None),
        ("1767225600", utc(2026, 1, 1)),
        ("1767225600.25", utc(2026, 1, 1, 0, 0, 0, 250_000)),
        ("1767225600123", utc(2026, 1, 1, 0, 0, 0, 123_000)),
        ("-1", utc(1969, 12, 31, 23, 59, 59)),
        ("99999999999", utc(5138, 11, 16, 9, 46, 39)),
        ("100000000000", utc(1973, 3, 3, 9, 46, 40)),
        ("100000000000000", None),
        ("1e9", None),
        ("", None),
        ("NaN", None),
    ],
)
def test_instants(text: str, expected: datetime | None) -> None:
    assert instant(text) == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-07-01T12:00:00", None, utc(2026, 7, 1, 11)),
        ("2026-07-01T12:00:00", "America/New_York", utc(2026, 7, 1, 16)),
        # Skipped by the change to summer time: moves forward by the hour that is missing.
        ("2026-03-29T01:30:00", None, utc(2026, 3, 29, 1, 30)),
        # Happens twice in autumn: the first.
        ("2026-10-25T01:30:00", None, utc(2026, 10, 25, 0, 30)),
        ("2026-07-01T12:00:00", "Nowhere", None),
    ],
)
def test_local_times(text: str, zone: str | None, expected: datetime | None) -> None:
    assert instant(text, zone) == expected


@given(
    st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1, max_size=5),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S.%fZ", "iso"]),
)
def test_mixed_columns_agree_with_the_standard_library(found: list[datetime], form: str) -> None:
    texts = [t.isoformat() if form == "iso" else t.isoformat().replace("+00:00", "Z") for t in found]
    assert times.instants(pl.Series(texts), None, LONDON).to_list() == found


def test_dates() -> None:
    texts = pl.Series(["2026-02-28", "2026-02-29", "2026-2-1", "0000-01-01", None, "2026-01-01T00:00:00Z"])
    assert [str(d) if d else None for d in times.dates(texts)] == ["2026-02-28", None, None, None, None, None]
