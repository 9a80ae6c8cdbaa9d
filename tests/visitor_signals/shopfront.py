"""A small random shop: what visitors do, what customers order and send back, and what is known of products."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import day_of, days_between
from pipelines.signals.units import DAY, HOUR, MINUTE
from schemas.registry import LAKE
from tests.cohorts.retailer import write
from tests.cohorts.test_engine_against_sql import INSTANT, typed
from tests.conftest import make_workspace

ZONE = ZoneInfo("Europe/London")
#: With the day of 25 hours among them.
DAYS = days_between(date(2026, 10, 20), date(2026, 10, 29))
PRODUCTS = {"p1": "shoes", "p2": "shoes", "p3": "shoes", "p4": "hats", "p5": None}
VISITORS = ("v1", "v2", "v3", "v4")
CUSTOMERS = ("c1", "c2", "c3", "c4")
#: Windows shorter than the days, and bounds that a handful of rows reaches.
PARAMETERS = """
parameters:
  intent_score: {half_life: 2h, cap: 30, warm_enter: 5, warm_exit: 3, hot_enter: 10, hot_exit: 8, ready_enter: 15,
    ready_exit: 12}
  journey_stage: {window: 3d, forget: 2d}
  engagement_velocity: {baseline: 4d, history: 3}
  scarcity_responsive_shopper: {window: 4d}
  category_affinity: {window: 3d}
  category_affinity_vector: {top: 2}
  discount_responsive: {window: 5d}
  serial_returner: {window: 4d}
  rfm_champion: {window: 6d, buyers: 2, history: 2d}
  top_signal: {rank: 2, surge: 6h, forget: 2d}
"""
TABLES = (
    "visitor_acts", "visitor_checkouts", "visitor_daily", "visitor_orders", "visitor_purchases", "cart_activity",
    "customer_orders", "signal_crossings", "signal_snapshots",
)  # fmt: skip
SIGNALS = {
    "scarcity_state": ("out", "critical", "low", "healthy"),
    "momentum": ("steady", "rising", "breakout", "cooling"),
}


def micros(instant):
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


START, END = micros(day_of(DAYS[0], ZONE).start), micros(day_of(DAYS[-1], ZONE).end)
#: Bounds of each day in microseconds.
BOUNDS = {day: (micros(day_of(day, ZONE).start), micros(day_of(day, ZONE).end)) for day in DAYS}


def day_at(at):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(ZONE).date()


def make(seed):
    """Rows by table with instants in microseconds."""
    rng = random.Random(seed)
    near = [rng.randrange(START, END) for _ in range(8)]
    edges = [edge + step for pair in BOUNDS.values() for edge in pair for step in (-1, 0, 1)]

    def moment():
        at = rng.choice([rng.choice(near) + rng.choice((0, MINUTE, HOUR, 6 * HOUR)), rng.randrange(START, END)])
        at = at - at % HOUR + rng.choice((-1, 0, 1)) if rng.random() < 0.1 else at
        return min(max(rng.choice(edges) if rng.random() < 0.15 else at, START), END - 1)

    tables = {name: [] for name in TABLES}
    _acts(rng, tables, moment)
    _carts(rng, tables, moment)
    _orders(rng, tables, moment)
    _products(rng, tables, moment)
    return tables


def _acts(rng, tables, moment):
    events = {}
    for number in range(rng.randint(60, 140)):
        who, at, product = rng.choice(VISITORS), moment(), rng.choice([*PRODUCTS, None])
        act = rng.choice(("view",) * 6 + ("add", "add", "remove", "wishlist", "checkout"))
        key = (who, at, act, product)
        events[who, day_at(at)] = [*events.get((who, day_at(at)), []), at]
        if act == "checkout":
            tables["visitor_checkouts"].append(
                {
                    "flockr_vid": who,
                    "occurred_at": at,
                    "event_id": f"k{number}",
                    "kind": rng.choice(("started", "step")),
                }
            )
        if key in [
            (row["flockr_vid"], row["occurred_at"], row["act"], row["product_id"]) for row in tables["visitor_acts"]
        ]:
            continue
        tables["visitor_acts"].append(
            {"flockr_vid": who, "occurred_at": at, "act": act, "product_id": product, "count": rng.choice((1, 1, 2)),
             "category": PRODUCTS.get(product)}
        )  # fmt: skip
    for (who, _), instants in events.items():
        tables["visitor_daily"].append(
            {"flockr_vid": who, "events": len(instants), "first_at": min(instants), "last_at": max(instants)}
        )
    for number in range(rng.randint(2, 8)):
        who, at = rng.choice(VISITORS), moment()
        tables["visitor_orders"].append({"flockr_vid": who, "order_id": f"w{number}", "ordered_at": at})
        for product in rng.sample(sorted(PRODUCTS), rng.randint(0, 2)):
            tables["visitor_purchases"].append({"flockr_vid": who, "order_id": f"w{number}", "product_id": product,
                                                "ordered_at": at, "category": PRODUCTS[product]})  # fmt: skip


def _carts(rng, tables, moment):
    for number in range(rng.randint(20, 60)):
        step = rng.choice(("add",) * 6 + ("remove", "view", "checkout", "order"))
        tables["cart_activity"].append({
            "flockr_vid": rng.choice(VISITORS), "cart_key": rng.choice(("a", "b")), "occurred_at": moment(),
            "event_id": f"e{number:03d}", "line": 0, "step": step,
            "product_id": None if step in ("checkout", "order") else rng.choice(sorted(PRODUCTS)),
            "quantity": 0 if step in ("checkout", "order", "view") else rng.choice((1000, 2000)),
        })  # fmt: skip


def _orders(rng, tables, moment):
    for number in range(rng.randint(10, 30)):
        at = moment()
        sale = {"order_id": f"t{number}", "sale_id": f"t{number}", "kind": "sale", "occurred_at": at,
                "customer_id": rng.choice((*CUSTOMERS, None)), "net_minor": rng.choice((100, 250, 990)),
                "currency": rng.choice(("GBP", "GBP", "GBP", "EUR")), "units": rng.choice((1000, 2000)),
                "discounted": rng.random() < 0.5, "product_ids": "[]"}  # fmt: skip
        tables["customer_orders"].append(sale)
        for place in range(rng.choice((0, 0, 0, 1, 2))):
            back = {**sale, "order_id": f"t{number}-{place}", "kind": "return", "units": -1000,
                    "net_minor": -rng.choice((40, 90)), "occurred_at": moment()}  # fmt: skip
            tables["customer_orders"].append(back)


def _products(rng, tables, moment):
    for product in PRODUCTS:
        for signal, names in SIGNALS.items():
            instants = sorted({moment() for _ in range(rng.randint(0, 5))})
            for at in instants:
                tables["signal_crossings"].append({
                    "signal_id": signal, "subject": product, "to_state": rng.choice(names), "effective_at": at,
                    "crossing_id": f"{product}-{signal}-{at}",
                    "suppressed_by": rng.choice((None, None, None, "cooldown"))})  # fmt: skip
        for _ in range(rng.randint(0, 2)):
            at = moment()
            tables["signal_crossings"].append({"signal_id": "cart_surge", "subject": product, "to_state": "surged",
                                               "effective_at": at, "crossing_id": f"{product}-surge-{at}",
                                               "suppressed_by": rng.choice((None, "cooldown"))})  # fmt: skip
    for day in DAYS:
        for product in PRODUCTS:
            shown = {signal: (None, state_at(tables, signal, product, BOUNDS[day][1] - 1)) for signal in SIGNALS}
            shown["category_rank"] = (rng.choice((None, 1.0, 2.0, 3.0)), None)
            shown["risk_score"] = (rng.choice((None, 0.0, 50.0)), None)
            tables["signal_snapshots"] += [
                {"date": day, "signal_id": signal, "subject": product, "value": value, "state": state}
                for signal, (value, state) in shown.items()
                if value is not None or state is not None
            ]


def state_at(tables, signal, product, at):
    """The state that crossings up to an instant lead to."""
    moved = [
        (row["effective_at"], row["to_state"])
        for row in tables["signal_crossings"]
        if row["signal_id"] == signal and row["subject"] == product and row["effective_at"] <= at
        and row["suppressed_by"] is None
    ]  # fmt: skip
    return max(moved, key=lambda pair: pair[0])[1] if moved else None


def put(tenant, tables):
    """Write the tables to the lake, each sorted by its contract."""
    days = [DAYS[0] - timedelta(days=1), *DAYS]
    for name, rows in tables.items():
        if name == "signal_snapshots":
            _put_snapshots(tenant, rows, days)
        else:
            write(tenant, name, typed(name, rows), days, INSTANT.get(name, "occurred_at"))
    write(tenant, "customer_merges", [], None)
    write(tenant, "products_history", [], None)


def _put_snapshots(tenant, rows, days):
    schema = {name: dtype for name, dtype in LAKE["signal_snapshots"].schema.items() if name != "date"}
    fixed = {"subject_type": "product", "inputs_hash": "x", "definition_version": "x"}
    with tenant.lake.writer("signal_snapshots") as writer:
        for day in days:
            some = [{name: {**row, **fixed}.get(name) for name in schema} for row in rows if row["date"] == day]
            writer.put(day, pl.DataFrame(some, schema=schema, orient="row"))


def make_tenant(root, parameters=PARAMETERS):
    workspace = make_workspace(root)
    file = root / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + parameters)
    return workspace.tenant("acme")


__all__ = ["BOUNDS", "DAY", "DAYS", "HOUR", "make", "make_tenant", "put"]
