"""A text is kept beside its value, or can be told from it: either way it comes back as it was sent."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing import times, values
from pipelines.landing.originals import kept, original
from schemas.contract import Column

DIGITS = st.text("0123456789-.+ e", min_size=1, max_size=6)
INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).flatmap(
    lambda at: st.sampled_from(
        [
            at.strftime("%Y").zfill(4) + at.strftime(form)
            for form in ("-%m-%dT%H:%M:%SZ", "-%m-%dT%H:%M:%S.%fZ", "-%m-%d %H:%M:%S.123Z", "-%m-%dT%H:%M:%S.123+01:00")
        ]
        + [
            f"{at.year:04d}-{at:%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            f"{at.year:04d}-{at:%m-%dt%H:%M}:60.000z",
        ]
    )
)
READERS = {"int64": values.integers, "quantity": values.quantities, "boolean": values.booleans, "date": times.dates}


def back(kind: str, texts: list[str | None]) -> tuple[list[str | None], pl.Series]:
    """What comes back of each text whose value could be read, and what was kept."""
    column = Column("x", kind)
    received = pl.Series("x", texts, dtype=pl.String)
    plain = None
    if kind == "timestamp":
        value, plain = times.instants_and_plain(received, times.Clock(ZoneInfo("UTC")))
    else:
        value = READERS[kind](received)
    text = kept(column, received, value, plain).alias("x__text")
    frame = pl.DataFrame({"x": value, "x__text": text})
    return frame.filter(value.is_not_null() | received.is_null()).select(original(column)).to_series().to_list(), text


def read(kind: str, texts: list[str | None]) -> list[str | None]:
    received = pl.Series("x", texts, dtype=pl.String)
    value = times.instants(received, times.Clock(ZoneInfo("UTC"))) if kind == "timestamp" else READERS[kind](received)
    return received.filter(value.is_not_null() | received.is_null()).to_list()


@given(st.lists(st.one_of(st.none(), DIGITS, st.integers().map(str)), min_size=1))
def test_whole_numbers_come_back(texts: list[str | None]) -> None:
    assert back("int64", texts)[0] == read("int64", texts)


@given(st.lists(st.one_of(st.none(), DIGITS, st.decimals(-999, 999, places=3).map(str)), min_size=1))
def test_quantities_come_back(texts: list[str | None]) -> None:
    assert back("quantity", texts)[0] == read("quantity", texts)


@given(st.lists(st.sampled_from([None, "true", "TRUE", "1", "0", "false", "False", "x"]), min_size=1))
def test_booleans_come_back(texts: list[str | None]) -> None:
    assert back("boolean", texts)[0] == read("boolean", texts)


@given(st.lists(st.one_of(st.none(), st.dates().map(str), st.just("2026-1-2")), min_size=1))
def test_dates_come_back(texts: list[str | None]) -> None:
    assert back("date", texts)[0] == read("date", texts)


@given(st.lists(st.one_of(st.none(), INSTANTS, st.just("1767225600")), min_size=1))
def test_instants_come_back(texts: list[str | None]) -> None:
    assert back("timestamp", texts)[0] == read("timestamp", texts)


@pytest.mark.parametrize(
    ("kind", "usual", "other"),
    [
        ("timestamp", "2026-01-02T10:00:00.120Z", "2026-01-02T10:00:00.12Z"),
        ("timestamp", "2026-01-02T10:00:00.000Z", "2026-01-02 10:00:00.000Z"),
        ("int64", "-7", "-07"),
        ("quantity", "12", "12.0"),
        ("boolean", "true", "True"),
    ],
)
def test_only_what_cannot_be_told_is_kept(kind: str, usual: str, other: str) -> None:
    assert back(kind, [usual, other, None])[1].to_list() == [None, other, None]


def test_a_text_without_a_value_is_kept() -> None:
    empty = pl.Series("x", ["", None], dtype=pl.String)
    nothing = pl.Series("x", [None, None], dtype=pl.Int64)
    assert kept(Column("x", "int64"), empty, nothing).to_list() == ["", None]
