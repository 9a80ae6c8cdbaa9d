"""Every signal of visitors and customers is what a plain loop over the rows says, on every day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipelines.signals.units import DAY
from pipelines.visitor_signals.run import run
from tests.visitor_signals import oracle
from tests.visitor_signals.shopfront import BOUNDS, CUSTOMERS, DAYS, VISITORS, make, make_tenant, micros, put


@pytest.fixture(scope="module", params=[1, 2, 3])
def shop(request, tmp_path_factory):
    tenant = make_tenant(tmp_path_factory.mktemp("shop"))
    tables = make(request.param)
    put(tenant, tables)
    run(tenant, DAYS)
    return tenant, tables


def said(tenant, signal, *columns):
    rows = tenant.lake.scan("visitor_signal_snapshots").filter(pl.col("signal_id") == signal)
    return {
        (day, who): tuple(rest) for day, who, *rest in rows.select("date", "subject", *columns).collect().iter_rows()
    }


def moved(tenant, signal):
    rows = tenant.lake.scan("visitor_signal_crossings").filter(pl.col("signal_id") == signal)
    shown = rows.select("subject", "effective_at", "from_state", "to_state").collect()
    return sorted((who, micros(at), old, new) for who, at, old, new in shown.iter_rows())


def same(found, expected):
    """Values are the nearest float to the exact fraction."""
    assert found == {key: (float(value),) for key, value in expected.items() if value is not None}
    assert found


VALUES = {
    "engagement_velocity": (oracle.engagement, VISITORS),
    "scarcity_lift": (oracle.lift, VISITORS),
    "discount_share": (oracle.discount, CUSTOMERS),
    "return_rate": (oracle.returned, CUSTOMERS),
}


@pytest.mark.parametrize("signal", VALUES)
def test_numbers(shop, signal):
    rule, subjects = VALUES[signal]
    tenant, tables = shop
    expected = {(day, who): rule(tables, who, day) for day in DAYS for who in subjects}
    found = said(tenant, signal, "value")
    if signal != "scarcity_lift":
        same(found, expected)
        return
    # A quotient of two fractions is one division of two products.
    assert {key: pytest.approx(float(value), rel=1e-15) for key, value in expected.items() if value} == {
        key: value for key, (value,) in found.items()
    }


def test_intent(shop):
    tenant, tables = shop
    states, values, moves = {}, {}, []
    for day in DAYS:
        for who in VISITORS:
            found, crossed = oracle.intent(tables, who, day, states)
            if found:
                values[day, who] = (float(found[0]), found[1])
            moves += [(who, *each) for each in crossed]
    assert said(tenant, "intent_score", "value", "state") == values
    assert moved(tenant, "intent_score") == sorted(moves) and len(moves) > 3


def test_journey(shop):
    tenant, tables = shop
    expected = {(day, who): oracle.stage(tables, who, day) for day in DAYS for who in VISITORS}
    assert said(tenant, "journey_stage", "state") == {key: (state,) for key, state in expected.items() if state}
    check_moves(tenant, "journey_stage", expected, "browsing", VISITORS)


def check_moves(tenant, signal, states, normal, subjects):
    """Crossings are the changes from one end of a day to the next, at its last instant."""
    moves = []
    for who in subjects:
        before = normal
        for day in DAYS:
            now = states[day, who] or normal
            if now != before:
                moves.append((who, BOUNDS[day][1] - 1, before, now))
            before = now
    assert moved(tenant, signal) == sorted(moves)


def test_affinities(shop):
    tenant, tables = shop
    rows = tenant.lake.scan("visitor_signal_snapshots").filter(pl.col("signal_id") == "category_affinity_vector")
    found = {}
    for day, who, item, value in rows.select("date", "subject", "item", "value").collect().iter_rows():
        found.setdefault((day, who), {})[item] = value
    expected = {(day, who): oracle.affinity(tables, who, day) for day in DAYS for who in VISITORS}
    assert found == {
        key: {item: float(value) for item, value in each.items()} for key, each in expected.items() if each
    }


def test_cells(shop):
    tenant, tables = shop
    expected = {
        (day, who): (float(cell), cell) for day in DAYS for who, cell in oracle.cells(tables, CUSTOMERS, day).items()
    }
    assert said(tenant, "rfm_cell", "value", "state") == expected and expected
    for who, at, old, new in moved(tenant, "rfm_cell"):
        day = next(day for day in DAYS if BOUNDS[day][1] - 1 == at)
        assert expected[day, who][1] == new
        assert expected.get((day - timedelta(days=1), who), (0, None))[1] == old


def test_due(shop):
    tenant, tables = shop
    values, moves, before = {}, [], {}
    for day in DAYS:
        start, end = BOUNDS[day]
        for who in CUSTOMERS:
            found = oracle.due(tables, who, day)
            overdue = found is not None and end - 1 >= found[0]
            if found:
                instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found[0])
                values[day, who] = ((end - 1 - found[0]) / DAY, "overdue" if overdue else "on_track", instant)
            if overdue != before.get(who, False):
                names = ("on_track", "overdue")
                last = max((s["occurred_at"] for s in oracle.counting(tables, who, day)), default=-1)
                at = found[0] if overdue else last
                moves.append((who, min(max(at, start), end - 1), names[not overdue], names[overdue]))
            before[who] = overdue
    assert said(tenant, "next_order_due_at", "value", "state", "instant") == values
    assert moved(tenant, "next_order_due_at") == sorted(moves) and moves


def test_top(shop):
    tenant, tables = shop
    found = {(day, who): oracle.top(tables, who, day) for day in DAYS for who in VISITORS}
    expected = {key: each for key, each in found.items() if each}
    assert said(tenant, "top_signal", "item", "state") == expected and expected
    states = {key: each and each[1] for key, each in found.items()}
    check_moves(tenant, "top_signal", states, "none", VISITORS)


def test_values_before_are_those_of_the_day_before(shop):
    rows = shop[0].lake.scan("visitor_signal_snapshots").collect()
    key = ["date", "signal_id", "subject", "item"]
    # The strongest signal is one a visitor, whatever the product.
    rows = rows.with_columns(pl.when(pl.col("signal_id") != "top_signal").then("item").alias("item"))
    now = rows.select(pl.col("date").dt.offset_by("1d"), *key[1:], old="value", was="state")
    joined = rows.join(now, on=key, how="left", nulls_equal=True)
    assert joined["value_prev"].to_list() == joined["old"].to_list()
    assert joined["state_prev"].to_list() == joined["was"].to_list()
