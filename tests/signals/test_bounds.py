"""Each threshold just under, at and just over it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import signals
from pipelines.signals.crossings import Crossings
from pipelines.signals.demand import Hours
from pipelines.signals.machine import columns, fire, move
from pipelines.signals.measures import carts, composite, lifecycle, momentum, price, rank, risk, spike
from pipelines.signals.measures.momentum import Level
from pipelines.signals.measures.risk import Inbound, Supply
from pipelines.signals.state import defaults
from pipelines.signals.units import DAY, HOUR, MINUTE

NOW = 20_000


@pytest.fixture
def known(tenant):
    return signals(tenant)


def products(known, count=1, **values):
    found = Products(defaults(known))
    found.index(pl.Series([f"p{n}" for n in range(count)]))
    for name, value in values.items():
        found[name][:] = value
    return found


def whole(*values):
    return np.array(values, dtype=np.int64)


def told(found):
    return found.rows().select("to_state", "suppressed_by").rows()


@pytest.mark.parametrize(
    ("before", "now", "fires"), [(0, 4, False), (0, 5, True), (3, 5, False), (3, 6, True), (4, 7, False), (4, 8, True)]
)
def test_cart_surge(known, before, now, fires):
    found = Crossings()
    carts.surges(products(known, cart_pressure=before), whole(now), known["cart_surge"], NOW, found)
    assert told(found) == ([("surged", None)] if fires else [])


def hours(**counts):
    found = Hours()
    for act, by_hour in counts.items():
        for back, count in by_hour.items():
            found.counts[act][NOW - 1 - back] = [(whole(0), whole(count))]
    return found


@pytest.mark.parametrize(
    ("weeks", "count", "fires"),
    [
        ([4, 4, 4, 4], 11, False),  # below 3 x the median
        ([4, 4, 4, 4], 12, True),  # 12 - 4 = 8 >= 3 x sqrt(5)
        ([2, 2, 2, 2], 7, False),  # 3 x, but 5 < 3 x sqrt(3)
        ([2, 2, 2, 2], 8, True),
        ([0, 0, 0, 0], 2, False),
        ([0, 0, 0, 0], 3, True),
        ([1, 2, 9, 9], 8, True),  # nearest rank: the median of four is the second
        ([2, 3, 9, 9], 8, False),
    ],
)
@pytest.mark.parametrize("act", ["views", "purchases"])
def test_demand_spike(known, weeks, count, fires, act):
    past = {168 * (n + 1): value for n, value in enumerate(weeks) if value}
    found = Crossings()
    shelf = products(known, first_seen=0)
    spike.step(shelf, hours(**{act: {0: count, **past}}), known["demand_spike"], NOW, 0, found)
    assert told(found) == ([(act, None)] if fires else [])


@pytest.mark.parametrize(("age_hours", "fires"), [(168, False), (169, True)])
def test_demand_spike_needs_a_week_of_data(known, age_hours, fires):
    found = Crossings()
    shelf = products(known, first_seen=(NOW - age_hours) * HOUR)
    spike.step(shelf, hours(views={0: 9}), known["demand_spike"], NOW, 0, found)
    assert bool(told(found)) == fires


LIFE = {"first_seen": (NOW - 100) * HOUR, "ever_views": 20, "ever_add_to_bags": 1}


def stage(known, at=0, state="just_launched", trending=False, cooling=False, **values):
    places = {"just_launched": 0, "discovering": 1, "trending_new": 2, "declining_new": 3, "established": 4}
    shelf = products(known, **{**LIFE, **values, "lifecycle_state": places[state]})
    flags = np.array([trending]), np.array([cooling])
    lifecycle.step(shelf, known["lifecycle_state"], NOW + at, *flags)
    return {code: name for name, code in places.items()}[int(shelf["lifecycle_state"][0])]


def test_lifecycle_bounds(known):
    launch = {"first_seen": NOW * HOUR - 3 * DAY}
    assert stage(known, **launch) == "just_launched"
    assert stage(known, first_seen=NOW * HOUR - 3 * DAY - 1) == "discovering"
    assert stage(known, ever_views=19) == stage(known, ever_add_to_bags=0) == "just_launched"
    trend = {"state": "discovering", "trending": True, "purchases_168h": 3}
    assert stage(known, **trend) == "trending_new"
    assert (
        stage(known, **{**trend, "purchases_168h": 2}) == stage(known, **{**trend, "trending": False}) == "discovering"
    )
    assert stage(known, **trend, first_seen=NOW * HOUR - 28 * DAY) == "trending_new"
    assert stage(known, **trend, first_seen=NOW * HOUR - 28 * DAY - 1) == "discovering"
    decline = {"state": "trending_new", "cooling": True}
    assert stage(known, **decline, cooling_since=NOW * HOUR - 3 * DAY) == "declining_new"
    assert stage(known, **decline, cooling_since=NOW * HOUR - 3 * DAY + 1) == "trending_new"
    old = {"first_seen": NOW * HOUR - 28 * DAY - 1, "active_days": 14}
    assert stage(known, state="discovering", **old) == "established"
    assert stage(known, state="discovering", **{**old, "active_days": 13}) == "discovering"
    assert stage(known, state="discovering", **{**old, "first_seen": NOW * HOUR - 28 * DAY}) == "discovering"


def test_lifecycle_refuses_illegal_jumps(known):
    assert stage(known, trending=True, purchases_168h=9, ever_views=19) == "just_launched"
    assert stage(known, active_days=20, first_seen=0, ever_views=3) == "just_launched"
    assert stage(known, state="declining_new", trending=True, purchases_168h=9) == "declining_new"
    assert stage(known, state="established", trending=True, purchases_168h=9) == "established"


def test_rank_is_dense_and_needs_enough_products(known):
    signal = known["category_rank"]
    shelf = products(known, 6)
    shelf["purchases_168h"][:] = whole(9, 7, 7, 3, 1, 0)
    category = whole(0, 0, 0, 0, 0, 0)
    assert rank.ranks(shelf, category, signal).tolist() == [1, 2, 2, 3, 4, 0]
    shelf["purchases_168h"][4] = 0
    assert rank.ranks(shelf, category, signal).tolist() == [0] * 6
    shelf["purchases_168h"][4:] = 1
    assert rank.ranks(shelf, whole(0, 0, 0, 0, 0, -1), signal).tolist() == [1, 2, 2, 3, 4, 0]


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (4, 3, "entered_top"), (3, 4, "left_top"), (3, 1, None), (0, 3, "entered_top"), (3, 0, "left_top"),
        (0, 4, None), (9, 4, "moved_up"), (8, 4, None), (4, 9, "moved_down"), (4, 8, None), (9, 1, "entered_top"),
        (1, 9, "left_top"),
    ],
)  # fmt: skip
def test_rank_change(known, before, now, says):
    found = Crossings()
    rank.changes(products(known, category_rank=before), whole(now), known["rank_change"], NOW, found)
    assert told(found) == ([(says, None)] if says else [])


def at_risk(known, level=2, available=1000, units=1000, days=1, inbound=None, **demand):
    shelf = products(known, **{"purchases_24h": 1, **demand})
    coming = Inbound(whole(0), whole(-1 if inbound is None else inbound), whole(), whole(), whole())
    supply = Supply(whole(available), whole(level), whole(units), whole(days))
    names = dict(enumerate(["out", "critical", "low", "limited", "healthy"]))
    risk.step(shelf, known["scarcity_risk"], NOW, supply, names, coming)
    return bool(risk.at_risk(shelf)[0])


def test_scarcity_risk_bounds(known):
    assert [at_risk(known, level=level) for level in range(5)] == [False, True, True, False, False]
    quiet = {"purchases_24h": 0}
    assert [at_risk(known, **quiet, add_to_bags_24h=n) for n in (2, 3)] == [False, True]
    assert [at_risk(known, **quiet, cart_pressure=n) for n in (1, 2)] == [False, True]
    # Seven days of stock are no risk when nothing is announced, a thousandth less is.
    assert [at_risk(known, available=n) for n in (6999, 7000, 7001)] == [True, False, False]
    soon = NOW * HOUR + 2 * DAY
    assert [at_risk(known, available=n, inbound=soon) for n in (1999, 2000, 2001)] == [True, False, False]
    assert at_risk(known, available=6999, inbound=NOW * HOUR), "a delivery that is due by now is none to wait for"
    assert not at_risk(known, units=0), "without sales it lasts for ever"


@pytest.mark.parametrize(
    ("available", "top", "bottom", "expected"),
    [
        (0, 1, 1, 50.0), (0, 2, 1, 100.0), (0, 3, 1, 100.0), (0, 1, 2, 25.0), (0, 1, 3, 25.0), (7000, 1, 1, 25.0),
        (14_000, 2, 1, 0.0), (15_000, 2, 1, 0.0), (0, 0, 0, 50.0),
    ],
)  # fmt: skip
def test_risk_score(known, available, top, bottom, expected):
    shelf = products(known, risk_state=1)
    supply = Supply(whole(available), whole(2), whole(1000), whole(1))
    risk.score(shelf, known["risk_score"], supply, Level(whole(0), whole(top), whole(bottom), whole(0)))
    assert shelf["score_top"][0] / shelf["score_bottom"][0] == expected


def prices(known, *path, lowest=1000):
    """States after each (hour, price); the reference of every price is ``lowest``."""
    shelf = products(known, price=lowest)
    states = []
    for hour, value in path:
        row = {"product_id": "p0", "at": hour * HOUR, "category": 1, "price": value, "low": lowest, "repriced": True}
        span = hour * HOUR, (hour + 1) * HOUR
        price.through_the_day(shelf, pl.DataFrame([row]), known["price_change"], *span, Crossings())
        states.append(int(shelf["price_state"][0]) == 1)
    return states


def test_price_drop_bounds(known):
    assert prices(known, (NOW, 951)) == [False]
    assert prices(known, (NOW, 950)) == [True]
    assert prices(known, (NOW, 950), (NOW + 24, 970)) == [True, True]
    assert prices(known, (NOW, 950), (NOW + 24, 971)) == [True, False]
    assert prices(known, (NOW, 950), (NOW + 23, 971)) == [True, True], "within the cooldown"


def test_a_price_drop_waits_for_the_cooldown_and_ends_with_the_lookback(known):
    signal, found = known["price_change"], Crossings()
    shelf = products(known, price=1000)
    rows = [
        {"product_id": "p0", "at": hour * HOUR, "category": 1, "price": value, "low": 1000, "repriced": True}
        for hour, value in ((NOW, 900), (NOW + 5, 1000))
    ]
    price.through_the_day(shelf, pl.DataFrame(rows), signal, NOW * HOUR, (NOW + 48) * HOUR, found)
    moves = found.rows().select("to_state", "suppressed_by", "effective_at").rows()
    instants = [(NOW + hours) * HOUR for hours in (0, 5, 24)]
    assert moves == [("dropped", None, instants[0]), ("normal", "cooldown", instants[1]), ("normal", None, instants[2])]
    shelf, found = products(known, price=1000), Crossings()
    price.through_the_day(shelf, pl.DataFrame(rows[:1]), signal, NOW * HOUR, NOW * HOUR + 31 * DAY, found)
    assert found.rows()["effective_at"].to_list() == [NOW * HOUR, NOW * HOUR + 30 * DAY]


@pytest.mark.parametrize(
    ("code", "risky", "ranked", "views", "expected"),
    [
        (3, True, 1, 1, "constrained"), (2, False, 0, 1, "hot"), (3, False, 0, 1, "hot"), (0, False, 3, 1, "hot"),
        (0, False, 4, 1, "steady"), (1, False, 0, 1, "heating"), (-1, False, 0, 1, "cooling"),
        (-1, False, 0, 0, "dormant"), (0, False, 0, 0, "dormant"), (1, False, 0, 0, "heating"),
    ],
)  # fmt: skip
def test_demand_state_is_the_first_that_holds(known, code, risky, ranked, views, expected):
    signal = known["demand_state"]
    shelf = products(known, views_168h=views, first_seen=0)
    names = momentum.codes(known["momentum"])
    composite.step(shelf, signal, NOW, whole(code), names, np.array([risky]), whole(ranked))
    states = {0: "steady", **{place: each.state for place, each in enumerate(signal.states, start=1)}}
    assert states[int(shelf["demand_state_state"][0])] == expected


@pytest.mark.parametrize(("signal", "hours"), [("cart_surge", 1), ("demand_spike", 3), ("rank_change", 24)])
def test_events_are_silent_through_their_cooldown(known, signal, hours):
    shelf = Products({f"{signal}_fired": -1})
    index = shelf.index(pl.Series(["p"]))
    again = [0, hours * 60 - 1, hours * 60, hours * 60 + 1]
    causes = [fire(shelf, signal, index, NOW * HOUR + minute * MINUTE, known[signal]).tolist()[0] for minute in again]
    assert causes == [0, 1, 0, 1]


@pytest.mark.parametrize(("signal", "hours"), [("lifecycle_state", 12), ("demand_state", 6), ("momentum", 6)])
def test_states_stay_through_their_cooldown(known, signal, hours):
    shelf = Products(columns("s"))
    shelf.index(pl.Series(["p"]))
    yes = np.array([True])
    assert move(shelf, "s", whole(1), yes, NOW * HOUR, known[signal]).cause.tolist() == [0]
    later = (NOW + hours) * HOUR
    assert move(shelf, "s", whole(2), yes, later - 1, known[signal]).cause.tolist() == [1]
    assert not len(move(shelf, "s", whole(2), yes, later - 1, known[signal]).index), "a wish is told once"
    assert move(shelf, "s", whole(2), yes, later, known[signal]).cause.tolist() == [0]


def test_a_dwell_time_holds_what_leaves_and_not_what_rises(known):
    timed = known["demand_state"].model_copy(update={"cooldown": None, "dwell": "$cooldown"})
    shelf = Products(columns("s"))
    shelf.index(pl.Series(["p"]))
    yes = np.array([True])
    assert move(shelf, "s", whole(1), yes, NOW * HOUR, timed).cause.tolist() == [0]
    assert move(shelf, "s", whole(2), yes, NOW * HOUR + 1, timed).cause.tolist() == [0]
    assert move(shelf, "s", whole(0), yes, (NOW + 6) * HOUR, timed).cause.tolist() == [2]
    assert move(shelf, "s", whole(0), yes, (NOW + 6) * HOUR + 1, timed).cause.tolist() == [0]
