"""``top_signal`` of the cart cohorts is the strongest signal of what is in the cart, as for the visitor's signal."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.calendar import day_of
from pipelines.cohorts import cart_signals
from pipelines.cohorts.cart_signals import Opened, _opened
from pipelines.cohorts.history.publish import run
from pipelines.flow import STEPS
from pipelines.freshness.defined import Defined
from pipelines.visitor_signals.run import run as run_visitor_signals
from schemas.registry import LAKE
from tests.cohorts.retailer import DAYS, instants, write_history
from tests.conftest import make_workspace

RANKING = ("critical", "breakout", "cart_surge", "low", "rank", "rising")
STATES = {
    "scarcity_state": ("out", "critical", "low", "healthy"),
    "momentum": ("cooling", "steady", "rising", "breakout"),
}
STEPPED = ("scarcity_state",)


def write_signals(tenant, seed):
    """Random signals of products instead of those that follow from the facts; returns crossings and snapshots."""
    chance = random.Random(seed)
    start, halves = instants(tenant.zone)
    products = sorted(set(tenant.lake.scan("cart_activity").select("product_id").collect()["product_id"].drop_nulls()))
    crossings = []
    for product in products:
        for signal, names in (*STATES.items(), ("cart_surge", ("surged",))):
            for at in sorted({start + timedelta(minutes=30 * chance.randrange(halves)) for _ in range(6)}):
                crossings.append({"signal_id": signal, "subject": product, "to_state": chance.choice(names),
                                  "effective_at": at, "crossing_id": f"{product}{signal}{at}", "direction": "up",
                                  "suppressed_by": chance.choice((None, None, "cooldown"))})  # fmt: skip
    fixed = {"subject_type": "product", "inputs_hash": "x", "definition_version": "x"}
    snapshots = {day: {} for day in DAYS}
    for day in DAYS:
        end = day_of(day, tenant.zone).end
        for product in products:
            for signal in STATES:
                snapshots[day][signal, product] = state(crossings, signal, product, end, end + timedelta(days=1))
            snapshots[day]["category_rank", product] = chance.choice((None, 2.0, 5.0))
            snapshots[day]["risk_score", product] = chance.choice((None, 10.0, 40.0))

    def on(day):
        bounds = day_of(day, tenant.zone)
        shown = [(signal, product, value) for (signal, product), value in snapshots[day].items() if value is not None]
        return {
            "signal_crossings": [row | fixed for row in crossings if bounds.start <= row["effective_at"] < bounds.end],
            "signal_snapshots": [
                {"signal_id": signal, "subject": product, "state" if signal in STATES else "value": value} | fixed
                for signal, product, value in shown
            ],
        }

    for table in ("signal_crossings", "signal_snapshots"):
        schema = {name: kind for name, kind in LAKE[table].schema.items() if name != "date"}
        with tenant.lake.writer(table) as writer:
            for day in DAYS:
                filled = [{name: row.get(name) for name in schema} for row in on(day)[table]]
                writer.put(day, pl.DataFrame(filled, schema=schema, orient="row"))
    return crossings, snapshots


def state(crossings, signal, product, at, until):
    """What counts at an instant: a step of scarcity from after its own on."""
    moved = [
        (row["effective_at"], row["to_state"])
        for row in crossings
        if (row["signal_id"], row["subject"], row["suppressed_by"]) == (signal, product, None)
        and (row["effective_at"] < at if signal in STEPPED else row["effective_at"] <= min(at, until))
    ]
    return max(moved)[1] if moved else None


def strongest(crossings, known, products, at, states):
    found = []
    for product in products:
        surges = [row["effective_at"] for row in crossings if row["signal_id"] == "cart_surge"
                  and row["subject"] == product and row["suppressed_by"] is None]  # fmt: skip
        scarcity, momentum = states(product)
        holds = {
            "critical": scarcity == "critical",
            "breakout": momentum == "breakout",
            "cart_surge": any(timedelta(0) <= at - surge < timedelta(hours=24) for surge in surges),
            "low": scarcity == "low",
            "rank": (known.get(("category_rank", product)) or 9) <= 3,
            "rising": momentum == "rising",
        }
        risk = known.get(("risk_score", product))
        found += [(RANKING.index(name), -1 * (-1 if risk is None else risk), product, name)
                  for name, held in holds.items() if held]  # fmt: skip
    return min(found)[3] if found else None


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_show_the_strongest_signal(tmp_path, seed):
    tenant = make_workspace(tmp_path).tenant("acme")
    write_history(tenant, seed)
    crossings, snapshots = write_signals(tenant, seed)
    run(tenant, DAYS)
    run_visitor_signals(tenant, DAYS)
    seen = set()
    moved = tenant.lake.scan("cohort_transitions").filter(pl.col("cart_product_ids").is_not_null()).collect()
    for day, at, products, name in moved.select("date", "effective_at", "cart_product_ids", "top_signal").iter_rows():
        known = snapshots.get(day - timedelta(days=1), {})
        start = day_of(day, tenant.zone).start

        def states(product, at=at, known=known, start=start):
            today = [row for row in crossings if row["effective_at"] >= start]
            now = (state(today, signal, product, at, at) for signal in STATES)
            return [new or known.get((signal, product)) for signal, new in zip(STATES, now, strict=True)]

        assert name == strongest(crossings, known, json.loads(products), at, states), (day, at, products)
        seen.add(name)
    assert seen == {None, *RANKING} or len(seen) >= 5
    check_members(tenant, crossings, snapshots)


def check_members(tenant, crossings, snapshots):
    """A member's is that of the end of the day; the visitor's own signal is of all carts of the visitor."""
    inside = tenant.lake.scan("cohort_membership").filter(
        pl.col("is_member") & pl.col("cart_product_ids").is_not_null()
    )
    own = tenant.lake.scan("visitor_signal_snapshots").filter(pl.col("signal_id") == "top_signal").collect()
    visitors = {(day, who): name for day, who, name in own.select("date", "subject", "state").iter_rows()}
    rows = inside.select("date", "subject", "cart_product_ids", "top_signal").collect()
    for day, who, products, name in rows.iter_rows():
        known, end = snapshots[day], day_of(day, tenant.zone).end
        listed = json.loads(products)
        states = {product: [known.get((signal, product)) for signal in STATES] for product in listed}
        assert name == strongest(crossings, known, listed, end, states.get)
        if name is not None:
            assert RANKING.index(visitors[day, who]) <= RANKING.index(name)
    assert rows.height > 10


def test_another_ranking_makes_days_stale(tmp_path):
    workspace = make_workspace(tmp_path)
    step = next(step for step in STEPS if step.name == "cohorts")
    before = Defined(workspace.tenant("acme")).text(step, DAYS[0])
    file = tmp_path / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + "parameters: {top_signal: {rank: 4}}\n")
    assert Defined(workspace.tenant("acme")).text(step, DAYS[0]) != before


IDS = st.text(st.sampled_from('ab",\\[] é\n'), min_size=1, max_size=4)


@given(st.lists(st.one_of(st.none(), st.lists(IDS, max_size=3, unique=True)), min_size=1, max_size=5))
def test_carts_are_taken_apart_as_their_json_says(carts):
    told = [
        None if ids is None else json.dumps(sorted(ids), separators=(",", ":"), ensure_ascii=False) for ids in carts
    ]
    frame = pl.DataFrame({"cart_product_ids": told}, schema={"cart_product_ids": pl.String}).with_row_index("cart")
    expected = sorted((place, each) for place, ids in enumerate(carts) for each in (ids or []))
    assert sorted(_opened(frame).select("cart", "product_id").drop_nulls().rows()) == expected


RANKED = pl.DataFrame(
    {
        "product_id": ["p1", "p2", "p3", "p4"],
        "strength": [1, 0, 1, 2],
        "risk": [None, None, 5.0, 9.0],
        "top_signal": ["low", "critical", "low again", "rising"],
    }
)
SEEN = (
    ['["p4","p1"]', '["p1","p3"]', "[]"],
    ['["p9"]', '["p1","p3"]'],
    ['["p1","p2"]', '["p4","p1"]', '["p9"]'],
)
BEST = (["low", "low again", None], [None, "low again"], ["critical", "low", None])


@pytest.mark.parametrize("forget", [0, 100])
def test_carts_that_were_seen_are_as_those_that_were_not(monkeypatch, forget):
    monkeypatch.setattr(cart_signals, "_FORGET", forget)
    opened = Opened()
    for carts, expected in zip(SEEN, BEST, strict=True):
        numbers = opened.numbers(pl.Series([*carts, None]))
        assert opened.best(numbers, RANKED).to_list() == [*expected, None]
        there = pl.DataFrame({"number": numbers, "cart": [*carts, None]}).filter(pl.col("number") >= 0)
        inside = opened.products(there).group_by("cart").agg(pl.col("product_id"))
        assert dict(inside.iter_rows()) == {cart: json.loads(cart) for cart in carts if cart != "[]"}
