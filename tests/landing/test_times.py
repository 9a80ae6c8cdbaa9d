"""Instants and dates: each rule of docs/times.md, against the standard library."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipelines.landing import times

LONDON = ZoneInfo("Europe/London")
#: Clock changes of an hour and of half an hour, on either half of the world, at midnight, and none at all.
ZONES = ["Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "UTC"]
SECOND_SIX = re.compile(r"(\.\d{6})\d+")


def read(texts: list[str], zone: str | None = None, unit: str | None = None) -> list[datetime | None]:
    said = [None if name is None else pl.Series([name] * len(texts), dtype=pl.String) for name in (zone, unit)]
    return times.instants(pl.Series(texts, dtype=pl.String), times.Clock(LONDON, *said)).to_list()


def oracle(text: str) -> datetime | None:
    """What RFC 3339 text with an offset means to the standard library, years 1 to 9999 in UTC."""
    shaped = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text, re.ASCII)
    try:
        return datetime.fromisoformat(SECOND_SIX.sub(r"\1", text)).astimezone(UTC) if shaped else None
    except (ValueError, OverflowError):
        return None


@given(
    st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1, max_size=8),
    st.lists(st.integers(-23 * 60 - 59, 23 * 60 + 59), min_size=8, max_size=8),
    st.lists(st.integers(0, 9), min_size=8, max_size=8),
)
def test_offsets_and_decimals_agree_with_the_standard_library(found, offsets, decimals):
    texts = []
    for at, minutes, digits in zip(found, offsets, decimals, strict=False):
        assume(datetime(1, 1, 2, tzinfo=UTC) < at < datetime(9999, 12, 30, tzinfo=UTC))
        local = at.astimezone(timezone(timedelta(minutes=minutes)))
        sign, size = "-" if minutes < 0 else "+", abs(minutes)
        fraction = f".{local.microsecond:06d}789"[: digits + 1] if digits else ""
        texts.append(f"{local:%m-%dT%H:%M:%S}{fraction}{sign}{size // 60:02d}:{size % 60:02d}")
        texts[-1] = f"{local.year:04d}-{texts[-1]}"
    assert read(texts) == [oracle(text) for text in texts]


FORMS = [
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.678Z",
    "2026-01-02T03:04:05.678901+01:30",
    "2026-01-02T03:04:05-00:00",
]


@given(
    st.sampled_from(FORMS),
    st.lists(st.tuples(st.integers(0, 31), st.sampled_from("0123456789 +-:.TZ/")), max_size=3),
)
@example(FORMS[0], [(0, " ")])
@example(FORMS[0], [(11, " ")])
@example(FORMS[2], [(26, "3"), (27, "0")])
def test_spoilt_texts_are_never_read_as_something_else(text, changes):
    letters = list(text)
    for place, letter in changes:
        letters[place % len(letters)] = letter
    spoilt = "".join(letters)
    # Other readable forms (a blank for T, no seconds, no offset) and leap seconds have tests of their own.
    assume(not re.match(r"\d{4}-\d\d-\d\d \d", spoilt) and ":60" not in spoilt)
    assume(re.search(r"(Z|[+-]\d\d:\d\d)$", spoilt) and not re.search(r"T\d\d:\d\d(Z|[+-]\d\d:\d\d)$", spoilt))
    assume(not re.search(r"\s(Z|[+-]\d\d:\d\d)$", spoilt))
    assert read([spoilt]) == [oracle(spoilt)]


@given(st.datetimes(datetime(1950, 1, 1), datetime(2099, 12, 1)), st.sampled_from(ZONES))
@example(datetime(2026, 3, 29, 1, 30), "Europe/London")
@example(datetime(2026, 10, 25, 1, 30), "Europe/London")
@example(datetime(2025, 9, 7, 0, 30), "America/Santiago")
@example(datetime(2025, 10, 5, 2, 15), "Australia/Lord_Howe")
def test_local_times_agree_with_the_standard_library(local, zone):
    assert read([local.isoformat(), f"{local:%Y-%m-%d %H:%M}"], zone) == [
        one.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
        for one in (local, local.replace(second=0, microsecond=0))
    ]


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999), st.sampled_from(["ms", "s"]))
def test_numbers_with_a_unit_agree_with_the_standard_library(number, unit):
    number = number if unit == "ms" else number // 1000
    known = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(**{"milliseconds" if unit == "ms" else "seconds": number})
    assert read([str(number)], unit=unit) == [known]


@given(st.integers(10**8, 10**10 - 1), st.integers(10**12, 10**13 - 1))
def test_numbers_without_a_unit_are_judged_by_their_digits(seconds, milliseconds):
    known = [
        datetime.fromtimestamp(seconds, UTC),
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds),
    ]
    assert read([str(seconds), str(milliseconds)]) == known


def test_dates_without_marks_are_no_numbers():
    assert read(["20260102", "202601020304", "20260102030405", "2026", "0", "-1767225600"]) == [None] * 6


def test_dates() -> None:
    texts = pl.Series(
        ["2026-02-28", "2026-02-29", "2026-2-1", "0000-01-01", None, "2026-01-01T00:00:00Z", "9999-12-31", " 026-01-01"]
    )
    read = [str(found) if found else None for found in times.dates(texts)]
    assert read == ["2026-02-28", None, None, None, None, None, "9999-12-31", None]
