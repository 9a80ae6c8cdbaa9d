"""A stretch of days: which day an instant falls in, and for which days a row counts."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import day_of, days_between
from pipelines.cohorts.span import Span
from pipelines.signals.units import HOUR

# The clocks go back on 25 October 2026.
SPAN = Span([day_of(day, ZoneInfo("Europe/London")) for day in days_between(date(2026, 10, 24), date(2026, 10, 26))])
ENDS = SPAN.ends.to_list()


def test_days_have_the_length_of_the_clock():
    assert [end - start for start, end in zip(SPAN.starts, ENDS, strict=True)] == [24 * HOUR, 25 * HOUR, 24 * HOUR]
    assert (SPAN.start, SPAN.end) == (SPAN.starts[0], ENDS[-1])


def test_the_end_of_a_day_belongs_to_the_next():
    instants = pl.Series([SPAN.start, ENDS[0] - 1, ENDS[0], ENDS[1], SPAN.end])
    assert SPAN.place(instants).to_list() == [0, 0, 1, 2, 3]


def test_a_row_counts_for_each_day_that_ends_within_it():
    rows = pl.DataFrame(
        {
            "name": ["all", "none", "first", "from the end", "to the end"],
            "after": [SPAN.start - 1, ENDS[0], ENDS[0] - 1, ENDS[0], SPAN.start],
            "until": [SPAN.end, ENDS[1] - 1, ENDS[0], ENDS[1], ENDS[1]],
        }
    )
    found = SPAN.across(rows, "after", "until").sort("name", "day").rows()
    assert found == [
        ("all", 0),
        ("all", 1),
        ("all", 2),
        ("first", 0),
        ("from the end", 1),
        ("to the end", 0),
        ("to the end", 1),
    ]
