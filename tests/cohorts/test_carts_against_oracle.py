"""The vectorised cart cohorts equal a simulation that goes instant by instant, on histories full of ties."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.calendar import day_of, days_between
from pipelines.cohorts.cart_days import Facts, Setting, advance
from pipelines.cohorts.cart_state import CartState
from pipelines.cohorts.catalogue import CartRules
from pipelines.cohorts.span import Span
from pipelines.signals.demand import micros
from pipelines.signals.units import DAY, HOUR, MINUTE
from tests.cohorts.oracle import Settings, Simulation

# The clocks go back on 25 October 2026: that day has 25 hours.
DAYS = [day_of(day, ZoneInfo("Europe/London")) for day in days_between(date(2026, 10, 23), date(2026, 10, 27))]
FIRST = micros(DAYS[0].start)
LENGTH = micros(DAYS[-1].end) - FIRST
RULES = CartRules(
    abandoned="cart_abandoner",
    silence=30 * MINUTE,
    ttl=2 * DAY,
    valuable="high_value_cart_abandoner",
    floor=1000,
    percentile=50,
    partitions=2,
    keep=80,
    scarce="cart_abandoned_low_stock",
    states=("critical", "low"),
    quiet=24 * HOUR,
)
SETTING = Setting(RULES, "GBP", "shop")
SETTINGS = Settings(RULES.silence, RULES.ttl, RULES.floor, RULES.percentile, RULES.partitions, RULES.keep, RULES.quiet)

# Half hours, so that an event often falls exactly 30 min, 24 h or 2 d after another, on midnight, or 1 us beside it.
instants = st.builds(
    lambda half, off: min(max(FIRST + half * 30 * MINUTE + off, FIRST), FIRST + LENGTH - 1),
    st.one_of(
        st.integers(0, LENGTH // (30 * MINUTE)), st.sampled_from([46, 47, 48, 49, 95, 96, 97, 144, 146, 192, 194])
    ),
    st.sampled_from([0, 0, 0, 0, 1, -1, 5 * MINUTE]),
)
steps = st.tuples(
    instants,
    st.sampled_from(["v1", "v1", "v2"]),
    st.sampled_from(["c1", "c1", "c2"]),
    st.sampled_from(["add", "add", "add", "add", "remove", "view", "checkout", "order"]),
    st.sampled_from(["p1", "p1", "p2", None]),
    st.sampled_from([1000, 1000, 500, 2000]),
    st.sampled_from([999, 1001, 801, 1250, None]),
    st.sampled_from(["GBP", "GBP", "GBP", "EUR"]),
)
orders = st.tuples(instants, st.sampled_from(["v1", "v2"]))
crossings = st.dictionaries(
    st.tuples(instants, st.sampled_from(["p1", "p2"])), st.sampled_from(["low", "critical", "healthy"]), max_size=5
)
day_ends = st.dictionaries(
    st.tuples(st.sampled_from([micros(day.end) for day in DAYS]), st.sampled_from(["p1", "p2"])),
    st.sampled_from(["low", "healthy"]),
    max_size=3,
)
#: How many of the days are taken at once, in turn.
stretches = st.sampled_from([(1, 1, 1, 1, 1), (5,), (2, 3), (1, 4), (3, 1, 1), (2, 2, 1)])
CROSSING_SCHEMA = {"product_id": pl.String, "to_state": pl.String, "at": pl.Int64, "at_end": pl.Boolean}
STEP_SCHEMA = {
    "at": pl.Int64,
    "event_id": pl.String,
    "line": pl.Int64,
    "flockr_vid": pl.String,
    "cart_key": pl.String,
    "step": pl.String,
    "product_id": pl.String,
    "quantity": pl.Int64,
    "unit_price_minor": pl.Int64,
    "currency": pl.String,
}


def facts_of(days, step_rows, order_rows, crossing_rows):
    start, end = micros(days[0].start), micros(days[-1].end)
    moved = [row for row in crossing_rows if (start < row[0] <= end if row[3] else start <= row[0] < end)]
    return Facts(
        pl.DataFrame([row for row in step_rows if start <= row[0] < end], schema=STEP_SCHEMA, orient="row"),
        pl.DataFrame(
            [(visitor, at) for at, visitor in order_rows if start <= at < end],
            schema={"flockr_vid": pl.String, "at": pl.Int64},
            orient="row",
        ),
        pl.DataFrame(
            [(product, state, at, ends) for at, product, state, ends in moved], schema=CROSSING_SCHEMA, orient="row"
        ),
    )


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=30, phases=PHASES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(steps, max_size=14), st.lists(orders, max_size=3, unique=True), crossings, day_ends, stretches)
def test_days_equal_the_simulation(step_list, order_rows, crossing_map, end_map, cuts):
    step_rows = [
        (at, f"e{place:02d}", 0, visitor, cart, step, *priced(step, product, quantity, price, currency))
        for place, (at, visitor, cart, step, product, quantity, price, currency) in enumerate(step_list)
    ]
    crossing_rows = sorted(
        [(at, product, state, False) for (at, product), state in crossing_map.items()]
        + [(at, product, state, True) for (at, product), state in end_map.items()],
        key=lambda row: (row[0], not row[3]),
    )
    expected = Simulation(
        step_rows, order_rows, crossing_rows, [(micros(d.start), micros(d.end)) for d in DAYS], SETTINGS
    )
    expected.run()
    state, moved, place = CartState(), [], 0
    for taken in cuts:
        span = Span(DAYS[place : place + taken])
        results = advance(state, facts_of(span.days, step_rows, order_rows, crossing_rows), SETTING, span)
        for day, result in zip(span.days, results, strict=True):
            moved += result.transitions.select("cohort_id", "subject", "direction", "at").rows()
            start, end = micros(day.start), micros(day.end)
            assert result.transitions.filter(~pl.col("at").is_between(start, end - 1)).is_empty()
            assert shown(result) == expected.ends[place], day.date
            if day.date in state.values:
                assert state.values[day.date].sort("value").rows() == counted(expected.history[place])
            place += 1
    assert sorted(moved) == sorted(expected.transitions)


def shown(result):
    return {
        (row["cohort_id"], row["subject"]): (
            row["entered_at"],
            row["cart_total_value_minor"],
            row["currency"],
            row["cart_product_ids"],
        )
        for row in result.members.filter("is_member").to_dicts()
    }


def priced(step, product, quantity, price, currency):
    if product is None or step == "order":
        return None, 0, None, None
    return product, quantity, price, currency if price is not None else None


def counted(values):
    return [(value, values.count(value)) for value in sorted(set(values))]
