"""Which visitors a day computes anew: every cause makes one move, and the others keep the rows of the day before."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.cohorts.cart_days import Facts, Setting, advance
from pipelines.cohorts.cart_state import CartState
from pipelines.cohorts.resting import halves
from pipelines.cohorts.span import Span
from pipelines.signals.demand import micros
from pipelines.signals.units import DAY, HOUR
from tests.cohorts.test_carts_against_oracle import CROSSING_SCHEMA, RULES, STEP_SCHEMA

FIRST = day_of(date(2026, 10, 20), ZoneInfo("UTC"))
SECOND = day_of(date(2026, 10, 21), ZoneInfo("UTC"))
NOON, END = micros(FIRST.start) + 12 * HOUR, micros(FIRST.end)
LONG = replace(RULES, ttl=7 * DAY, floor=2000)
SETTING = Setting(LONG, "GBP", "shop")


def facts(steps=(), orders=(), crossings=()):
    rows = [
        (at, f"e{place}", 0, visitor, "c", "add", product, 1000, 1000, "GBP")
        for place, (at, visitor, product) in enumerate(steps)
    ]
    return Facts(
        pl.DataFrame(rows, schema=STEP_SCHEMA, orient="row"),
        pl.DataFrame(list(orders), schema={"flockr_vid": pl.String, "at": pl.Int64}, orient="row"),
        pl.DataFrame([(*crossing, crossing[2] == END) for crossing in crossings], schema=CROSSING_SCHEMA, orient="row"),
    )


def after_first(crossings=()):
    state = CartState()
    advance(state, facts([(NOON, "v1", "p1"), (NOON, "v2", "p2")], (), crossings), SETTING, Span([FIRST]))
    return state


def moving(state, found, rules=LONG, bound=2000):
    cut = halves(state, found.steps, found.orders, found.crossings, rules, bound, micros(SECOND.end))
    both = (cut.moving, cut.resting)
    assert sum(half.carts.height for half in both) == 2 == sum(half.items.height for half in both)
    return sorted(cut.moving.carts["flockr_vid"])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (facts(), []),
        (facts(steps=[(END + 1, "v1", "p9")]), ["v1"]),
        (facts(orders=[("v2", END)]), ["v2"]),
        (facts(crossings=[("p1", "low", END + HOUR)]), ["v1"]),
        (facts(crossings=[("p9", "low", END + HOUR)]), []),
    ],
)
def test_facts_make_their_visitors_move(found, expected):
    assert moving(after_first(), found) == expected


def test_time_alone_makes_visitors_move():
    assert moving(after_first(), facts(), bound=1000) == ["v1", "v2"]
    assert moving(after_first(), facts(), rules=replace(LONG, ttl=2 * DAY)) == []
    assert moving(after_first(), facts(), rules=replace(LONG, ttl=36 * HOUR)) == ["v1", "v2"]
    assert moving(after_first([("p2", "low", END)]), facts()) == ["v2"]


def test_rows_of_visitors_at_rest_are_those_of_the_day_before():
    state = after_first()
    before = state.members
    (result,) = advance(state, facts([(END + HOUR, "v1", "p3")]), SETTING, Span([SECOND]))
    still = pl.col("subject") == "v2"
    assert before.filter(still).height == 1
    assert result.members.filter(still).drop("other").equals(before.filter(still))
    assert result.members.filter(~still)["updated_at"].to_list()[0] == END + HOUR
