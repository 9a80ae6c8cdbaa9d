from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.calendar import day_of, days_between, local_date, span

LONDON = ZoneInfo("Europe/London")


def hours(day: date, zone: str) -> float:
    bounds = day_of(day, ZoneInfo(zone))
    return (bounds.end - bounds.start) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        (date(2025, 3, 30), "Europe/London", 23),
        (date(2025, 10, 26), "Europe/London", 25),
        (date(2025, 6, 1), "Europe/London", 24),
        (date(2025, 9, 7), "America/Santiago", 23),  # the clock skips midnight itself
        (date(2025, 4, 6), "Australia/Lord_Howe", 24.5),
        (date(2011, 12, 30), "Pacific/Apia", 0),  # a day that never was
    ],
)
def test_a_day_is_as_long_as_the_zone_says(day, zone, expected):
    assert hours(day, zone) == expected


def test_bounds_are_utc_and_half_open():
    bounds = day_of(date(2025, 7, 1), LONDON)
    assert bounds.start == datetime(2025, 6, 30, 23, tzinfo=UTC)
    assert bounds.as_of == bounds.end == datetime(2025, 7, 1, 23, tzinfo=UTC)


@given(
    st.dates(date(1990, 1, 1), date(2035, 12, 31)),
    st.sampled_from(sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc"))),
)
def test_days_tile_the_line_and_agree_with_the_column_form(day, zone_name):
    zone = ZoneInfo(zone_name)
    bounds, following = day_of(day, zone), day_of(day + timedelta(days=1), zone)
    assert bounds.end == following.start
    if bounds.end == bounds.start:
        return
    instants = [bounds.start, bounds.end - timedelta(microseconds=1)]
    frame = pl.DataFrame({"at": instants}, schema={"at": pl.Datetime("us", "UTC")})
    assert frame.select(local_date(pl.col("at"), zone))["at"].to_list() == [day, day]


def test_ranges():
    assert days_between(date(2025, 1, 30), date(2025, 2, 1)) == [date(2025, 1, 30), date(2025, 1, 31), date(2025, 2, 1)]
    assert days_between(date(2025, 1, 2), date(2025, 1, 1)) == []
    assert span([date(2025, 3, 30)], LONDON)[1] == datetime(2025, 3, 30, 23, tzinfo=UTC)
