"""Just under, at and just over each bound of the visitors' signals, with the parameters of the catalogue."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import polars as pl
import pytest

from pipelines.calendar import day_of, days_between
from pipelines.signals.units import DAY, HOUR, MINUTE
from pipelines.visitor_signals.decay import table
from pipelines.visitor_signals.run import run
from tests.visitor_signals import shopfront
from tests.visitor_signals.shopfront import TABLES, make_tenant, micros, put

#: A day of 24 hours; the ones before it hold what a window needs.
TODAY = date(2026, 6, 10)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A function of rows by table that gives the signals at the end of the day: (value, state, item) by signal."""

    def at_end(parameters="", days=4, **rows):
        monkeypatch.setattr(shopfront, "DAYS", days_between(TODAY - timedelta(days=days), TODAY))
        tenant = make_tenant(tmp_path / str(len(list(tmp_path.iterdir()))), parameters)
        put(tenant, {name: rows.get(name, []) for name in TABLES})
        run(tenant, [TODAY])
        found = tenant.lake.scan("visitor_signal_snapshots").filter(pl.col("subject") != "v2").collect()
        moves = tenant.lake.scan("visitor_signal_crossings").sort("effective_at").collect()
        return {row["signal_id"]: row for row in found.iter_rows(named=True)}, moves

    return at_end


def end():
    return micros(day_of(TODAY, shopfront.ZONE).end)


def acts(*instants, act="view", product="p1", count=1, category="shoes", who="v1"):
    return [
        {"flockr_vid": who, "occurred_at": at, "act": act, "product_id": product, "count": count, "category": category}
        for at in instants
    ]


def seen(*instants, events=1):
    return [{"flockr_vid": "v1", "events": events, "first_at": at, "last_at": at} for at in instants]


def test_the_table_halves_and_is_whole_numbers():
    weights = table(6 * HOUR)
    assert [weights[360 * n] for n in range(4)] == [1_000_000, 500_000, 250_000, 125_000]
    assert weights[-1] == 0 and weights[-2] == 1 and (weights[:-1] >= weights[1:]).all()
    with localcontext() as exact:
        exact.prec = 60
        halved = [Decimal(1_000_000) * Decimal(2) ** (Decimal(-minute) / 360) for minute in range(len(weights))]
        assert [int(each.to_integral_value(ROUND_HALF_EVEN)) for each in halved] == weights.tolist()


@pytest.mark.parametrize(
    ("views", "state"),
    [(29, "cold"), (30, "warm"), (59, "warm"), (60, "hot"), (84, "hot"), (85, "ready"), (100, "ready"), (101, "ready")],
)
def test_bands_of_intent_are_entered_at_their_bound(told, views, state):
    found, moves = told(visitor_acts=acts(end() - 1, count=views))
    assert (found["intent_score"]["value"], found["intent_score"]["state"]) == (min(views, 100), state)
    assert moves.height == (state != "cold")


@pytest.mark.parametrize(
    ("views", "state"), [(140, "ready"), (139, "hot"), (90, "hot"), (89, "warm"), (40, "warm"), (39, "cold")]
)
def test_bands_of_intent_are_left_below_their_bound(told, views, state):
    """Half of it is left six hours later."""
    found, moves = told(visitor_acts=acts(end() - 6 * HOUR - 1, count=views))
    assert (found["intent_score"]["value"], found["intent_score"]["state"]) == (views / 2, state)
    assert micros(moves["effective_at"][0]) == end() - 6 * HOUR
    if views in (139, 89, 39):
        bound = {139: 70, 89: 45, 39: 20}[views]
        left = moves.filter(pl.col("threshold") == bound).row(0, named=True)
        assert (micros(left["effective_at"]), left["direction"], left["value_after"]) == (end(), "down", views / 2)


@pytest.mark.parametrize(("at", "value"), [(0, None), (-1, 1.0), (-MINUTE, 0.998076), (-MINUTE + 1, 1.0)])
def test_an_act_counts_before_the_instant_alone(told, at, value):
    found, _ = told(visitor_acts=acts(end() + at))
    assert ("intent_score" in found) == (value is not None)
    if value is not None:
        assert found["intent_score"]["value"] == value


@pytest.mark.parametrize(("kind", "value"), [("started", 10.0), ("step", None)])
def test_a_checkout_counts_when_it_starts(told, kind, value):
    rows = [{"flockr_vid": "v1", "occurred_at": end() - 1, "event_id": "e", "kind": kind}]
    found, _ = told(visitor_checkouts=rows)
    assert found.get("intent_score", {}).get("value") == value
    assert found.get("journey_stage", {}).get("state") == ("deciding" if value else None)


@pytest.mark.parametrize(
    ("products", "categories", "state"),
    [(("p1", "p1"), "aa", "browsing"), (("p1", "p2"), "ab", "browsing"), (("p1", "p2"), "aa", "comparing")],
)
def test_two_products_of_a_category_are_compared(told, products, categories, state):
    rows = [row for n in (0, 1) for row in acts(end() - 2 + n, product=products[n], category=categories[n])]
    assert told(visitor_acts=rows)[0]["journey_stage"]["state"] == state


@pytest.mark.parametrize(("days", "there"), [(6, True), (7, False)])
def test_the_window_of_the_journey_is_tenant_days(told, days, there):
    found, _ = told(days=8, visitor_acts=acts(end() - 1 - days * DAY))
    assert ("journey_stage" in found) == there


@pytest.mark.parametrize(("after", "there"), [(-1, False), (0, False), (1, True)])
def test_an_order_ends_the_journey(told, after, there):
    order = end() - HOUR
    orders = [{"flockr_vid": "v1", "order_id": "o", "ordered_at": order}]
    found, _ = told(visitor_acts=acts(order + after), visitor_orders=orders)
    assert ("journey_stage" in found) == there


@pytest.mark.parametrize(("silent", "there"), [(7 * DAY - 1, True), (7 * DAY, False)])
def test_a_cart_is_forgotten(told, silent, there):
    step = {"flockr_vid": "v1", "cart_key": "a", "occurred_at": end() - silent, "event_id": "e", "line": 0,
            "step": "add", "product_id": "p1", "quantity": 1000}  # fmt: skip
    found, _ = told(days=8, cart_activity=[step])
    assert (found.get("journey_stage", {}).get("state") == "deciding") == there


@pytest.mark.parametrize(("history", "value"), [(6, None), (7, 7 * 3 / 8), (28, 28 * 3 / 29), (29, 28 * 3 / 29)])
def test_engagement_needs_a_week_and_looks_back_four(told, history, value):
    """One event in the baseline and two on the day; the tenant's first day lies so many days before it."""
    other = [
        {"flockr_vid": "v2", "events": 1, "first_at": end() - history * DAY - 1, "last_at": end() - history * DAY - 1}
    ]
    rows = [*other, *seen(end() - DAY - 1), *seen(end() - 1, events=2)]
    found, _ = told(days=30, visitor_daily=rows)
    assert found.get("engagement_velocity", {}).get("value") == value


@pytest.mark.parametrize(("back", "events"), [(28, 5), (29, 0)])
def test_the_baseline_ends_after_four_weeks(told, back, events):
    rows = [*seen(end() - 31 * DAY - 1), *seen(end() - back * DAY - 1, events=5), *seen(end() - 1)]
    found, _ = told(days=32, visitor_daily=rows)
    assert found["engagement_velocity"]["value"] == 28 * 2 / (28 + events)


def sales(*instants, **more):
    return [
        {"order_id": f"t{n}", "sale_id": f"t{n}", "kind": "sale", "occurred_at": at, "customer_id": "c1",
         "net_minor": 100, "currency": "GBP", "units": 1000, "discounted": False, "product_ids": "[]", **more}
        for n, at in enumerate(instants)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gap", "state", "at"),
    [(2 * DAY - 1, "overdue", -2), (2 * DAY, "overdue", -1), (2 * DAY + 1, "on_track", None)],
)
def test_an_order_is_overdue_from_the_due_instant_on(told, gap, state, at):
    last = end() - 1 - 2 * DAY
    found, moves = told(days=6, customer_orders=sales(last - gap, last))
    row = found["next_order_due_at"]
    assert (row["state"], micros(row["instant"])) == (state, last + gap)
    assert row["value"] == (end() - 1 - last - gap) / DAY
    assert [micros(each) - end() for each in moves["effective_at"]] == ([] if at is None else [at])


def test_one_order_is_due_nowhere_and_a_median_of_two_gaps_is_cut(told):
    assert "next_order_due_at" not in told(customer_orders=sales(end() - 1))[0]
    last = end() - HOUR
    found, _ = told(days=6, customer_orders=sales(last - 3 * DAY, last - DAY - 1, last))
    assert micros(found["next_order_due_at"]["instant"]) == last + (DAY + 1 + 2 * DAY - 1) // 2


@pytest.mark.parametrize(("days", "there"), [(4, True), (5, False)])
def test_the_window_is_that_of_the_cohort(told, days, there):
    shorter = "parameters: {discount_responsive: {window: 5d}}\n"
    found, _ = told(shorter, days=6, customer_orders=sales(end() - 1 - days * DAY, discounted=True))
    assert ("discount_share" in found) == there


@pytest.mark.parametrize(("surged", "state"), [(1, "cart_surge"), (24 * HOUR - 1, "cart_surge"), (24 * HOUR, "low")])
def test_a_surge_counts_for_a_day(told, surged, state):
    step = {"flockr_vid": "v1", "cart_key": "a", "occurred_at": end() - 1, "event_id": "e", "line": 0,
            "step": "add", "product_id": "p1", "quantity": 1000}  # fmt: skip
    fired = {"signal_id": "cart_surge", "subject": "p1", "to_state": "surged", "effective_at": end() - surged,
             "crossing_id": "x", "suppressed_by": None}  # fmt: skip
    low = {"date": TODAY, "signal_id": "scarcity_state", "subject": "p1", "state": "low"}
    found, _ = told(cart_activity=[step], signal_crossings=[fired], signal_snapshots=[low])
    assert (found["top_signal"]["state"], found["top_signal"]["item"]) == (state, "p1")


@pytest.mark.parametrize(("rank", "state"), [(3.0, "rank"), (4.0, None)])
def test_ranks_up_to_three_count(told, rank, state):
    step = {"flockr_vid": "v1", "cart_key": "a", "occurred_at": end() - 1, "event_id": "e", "line": 0,
            "step": "add", "product_id": "p1", "quantity": 1000}  # fmt: skip
    shown = {"date": TODAY, "signal_id": "category_rank", "subject": "p1", "value": rank}
    found, _ = told(cart_activity=[step], signal_snapshots=[shown])
    assert found.get("top_signal", {}).get("state") == state
