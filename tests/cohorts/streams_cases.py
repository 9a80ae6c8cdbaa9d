"""Small random streams that lie on the edges of every window of the catalogue: ties, clock changes, merges, returns.

The same seed gives the same rows. Relations are named ``visitor_<stream>``, ``customer_<stream>``,
``product_crossing`` and ``customer_category``; a row has ``subject``, ``at``, ``since``, ``until``, ``times`` and the
fields of its stream.
"""

# ruff: noqa: S608 (names of relations only)

from __future__ import annotations

import random
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from pipelines.calendar import day_of
from pipelines.cohorts.catalogue import SHIPPED
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.vocabulary import CUSTOMER, PRODUCT, VISITOR
from pipelines.cohorts.sql.scope import micros
from pipelines.config import load_yaml
from pipelines.signals.units import DAY, HOUR, MINUTE

ZONE = ZoneInfo("Europe/London")
INF = 2**63 - 1
#: Around the days with 23 and with 25 hours.
SPRING = [date(2026, 3, 27) + timedelta(days=n) for n in range(5)]
AUTUMN = [date(2026, 10, 23) + timedelta(days=n) for n in range(5)]
#: Thresholds so small that a handful of rows reaches them; windows stay those of the catalogue.
SMALL = {
    "at_risk_customer": {"known": 3},
    "category_affinity": {"events": 3},
    "rfm_champion": {"buyers": 3, "history": "20d"},
    "scarcity_responsive_shopper": {"viewed": 2, "viewed_exit": 1, "converted": 1, "lift": 1.1, "lift_exit": 0.9},
    "high_intent_browser": {"products": 3},
    "vip": {"orders": 3, "orders_exit": 2, "percentile": 60, "percentile_exit": 40},
    "high_value_at_risk": {"percentile": 40},
    "serial_returner": {"orders": 2},
}
_TYPES = {"text": pl.String, "flag": pl.Boolean, "number": pl.Int64, "minor": pl.Int64}
_BASE = {"subject": pl.String, "at": pl.Int64, "since": pl.Int64, "until": pl.Int64, "times": pl.Int64}


@cache
def shipped():
    """The catalogue as it is written."""
    return [load_yaml(file, Cohort) for file in sorted(SHIPPED.glob("*.yaml"))]


def definitions(overrides=None):
    """The catalogue with the small thresholds."""
    chosen = SMALL if overrides is None else overrides
    found = {}
    for cohort in shipped():
        changes = chosen.get(cohort.id, {})
        params = {
            name: param.model_copy(update={"value": changes.get(name, param.value)})
            for name, param in cohort.params.items()
        }
        found[cohort.id] = cohort.model_copy(update={"params": params})
    return found


def relations():
    """Name -> schema of every relation."""
    found = {"customer_category": {**_BASE, "category": pl.String}}
    for subject, streams in (("visitor", VISITOR), ("customer", CUSTOMER), ("product", PRODUCT)):
        for name, stream in streams.items():
            fields = {field: _TYPES[kind] for field, kind in stream.fields.items()}
            if "group_id" in fields:
                fields["group_id"] = pl.List(pl.String)
            found[f"{subject}_{name}"] = {**_BASE, **fields}
    return found


def frames(case):
    """The rows as frames by relation; what a row does not say is null."""
    return {
        name: pl.DataFrame(
            [{column: row.get(column, 1 if column == "times" else None) for column in schema} for row in case[name]],
            schema=schema,
        )
        for name, schema in relations().items()
    }


@contextmanager
def loaded(rows):
    """A DuckDB connection in which every relation is a table, and nobody was a member before."""
    with duckdb.connect() as connection:
        for name, frame in frames(rows).items():
            connection.register("frame", frame.to_arrow())
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
        connection.execute("CREATE TABLE members_before (cohort_id VARCHAR, subject VARCHAR)")
        yield connection


def reload(connection, old, new):
    """Put other rows in place of those that are loaded."""
    for name, frame in frames(new).items():
        if old[name]:
            connection.execute(f"DELETE FROM {name}")
        if new[name]:
            connection.register("frame", frame.to_arrow())
            connection.execute(f"INSERT INTO {name} SELECT * FROM frame")


def remember(connection, members):
    """Let these be the members of the day before: (cohort id, subject)."""
    connection.execute("DELETE FROM members_before")
    if members:
        connection.executemany("INSERT INTO members_before VALUES (?, ?)", sorted(members))


def case(seed):
    """Rows by relation, and the days to look at."""
    rng = random.Random(seed)
    days = rng.choice([SPRING, AUTUMN])
    rows = {name: [] for name in relations()}
    edges = _edges(days)
    crossings(rng, rows, edges)
    for number in range(rng.randint(3, 6)):
        visitor(rng, rows, f"v{number}", edges)
    for number in range(rng.randint(4, 8)):
        customer(rng, rows, f"c{number}", edges, days)
    return rows, days


def _edges(days, reach=365):
    """Instants at which windows that end with the days begin, and the starts of days near them."""
    found = []
    for day in days:
        end = micros(day_of(day, ZONE).end)
        for n in [each for each in (0, 1, 2, 3, 7, 14, 30, 48, 60, 90, 180, 365) if each <= reach]:
            found.append(end - n * DAY)
            found.append(micros(day_of(day - timedelta(days=n - 1), ZONE).start))
    return found


def instant(rng, edges, near=()):
    """An instant on an edge, one beside it, one a window after another, or any."""
    if near and rng.random() < 0.6:
        steps = (0, 0, 15 * MINUTE, 30 * MINUTE, HOUR, 24 * HOUR, 2 * DAY, 3 * DAY, 7 * DAY, 30 * DAY, 60 * DAY)
        at = rng.choice(near) + rng.choice(steps)
    else:
        at = rng.choice(edges) + rng.choice((0, 0, 0, 5 * HOUR, 11 * HOUR, 17 * HOUR))
    return at + rng.choice((0, 0, 0, 1, -1, 0))


def put(rows, name, subject, at, since=None, until=INF, **fields):
    since = at if since is None else since
    if since < until:
        rows[name].append({"subject": subject, "at": at, "since": since, "until": until, **fields})


PRODUCTS = ("p1", "p2", "p3", "p4", "p5")
CATEGORIES = {"p1": "a", "p2": "a", "p3": "b", "p4": "b/c", "p5": None}


def crossings(rng, rows, edges):
    states = {
        "scarcity_state": ("out", "critical", "low", "limited", "healthy"),
        "momentum": ("cooling", "steady", "rising", "surging", "breakout"),
    }
    for product in PRODUCTS:
        for signal, names in states.items():
            instants, before = sorted({instant(rng, edges[-60:]) for _ in range(rng.randint(0, 6))}), None
            for at in instants:
                after = rng.choice([name for name in names if name != before])
                put(rows, "product_crossing", None, at, signal=signal, product_id=product,
                    from_state=before, to_state=after)  # fmt: skip
                before = after


def visitor(rng, rows, who, edges):
    recent = edges[-40:] if rng.random() < 0.6 else edges
    near = [row["at"] for row in rows["product_crossing"]][:6] + [instant(rng, recent) for _ in range(3)]

    def acts(name, most, **more):
        for _ in range(rng.randint(0, most)):
            at = instant(rng, recent, near)
            near.append(at)
            product = rng.choice(PRODUCTS)
            fields = {key: pick(rng) for key, pick in more.items()}
            put(rows, f"visitor_{name}", who, at, product_id=product, category=CATEGORIES[product],
                session_id=rng.choice(("s1", "s2", "s3", None)), outlet_id=None, times=rng.choice((1, 1, 1, 2)),
                **fields)  # fmt: skip

    small = {name: lambda r: r.choice((1, 2, 3)) for name in ("session_products", "session_repeats")}
    acts("view", 10, **small, session_adds=lambda r: r.choice((0, 0, 1)))
    for name, most in (("add", 5), ("remove", 2), ("wishlist", 3), ("unwishlist", 2), ("alert", 2)):
        acts(name, most)
    for _ in range(rng.randint(0, 3)):
        put(rows, "visitor_checkout", who, instant(rng, recent, near), session_id="s1")
    for number in range(rng.randint(0, 3)):
        at, product = instant(rng, recent, near), rng.choice(PRODUCTS)
        put(rows, "visitor_order", who, at, order_id=f"{who}-{number}")
        put(rows, "visitor_buy", who, at, product_id=product, category=CATEGORIES[product],
            order_id=f"{who}-{number}", discounted=rng.random() < 0.5)  # fmt: skip
    for _ in range(rng.randint(0, 3)):
        put(rows, "visitor_activity", who, instant(rng, recent, near))
    for _ in range(rng.randint(0, 9)):
        at, scarce = instant(rng, recent, near), rng.random() < 0.5
        fields = {"product_id": rng.choice(PRODUCTS), "scarce": scarce}
        converted = at + rng.choice((0, HOUR, 24 * HOUR)) if rng.random() < 0.4 else INF
        put(rows, "visitor_scarce_day", who, at, until=converted, converted=False, **fields)
        if converted < INF:
            put(rows, "visitor_scarce_day", who, at, since=converted, converted=True, **fields)


def customer(rng, rows, who, edges, days):
    near, other = [], f"{who}x"
    for number in range(rng.randint(0, 7)):
        at = instant(rng, edges, near)
        near.append(at)
        order(rng, rows, who, other, at, f"{who}-{number}", near, edges)
    for day in days:
        category = rng.choice(("a", "a", "b", None))
        if category:
            bounds = day_of(day, ZONE)
            put(rows, "customer_category", who, micros(bounds.start), until=micros(bounds.end), category=category)
    for _ in range(rng.randint(0, 2)):
        at, campaign = instant(rng, edges, near), rng.choice(("k1", "k2", None))
        near.append(at)
        put(rows, "customer_link_click", who, at, campaign_id=campaign, link_id="l1")
    for name, fields in (
        ("referral_accepted", {"campaign_id": "k1"}),
        ("referral_flagged", {"campaign_id": "k1"}),
        ("opt_out", {"channel": rng.choice(("email", "sms")), "reason": "agent"}),
    ):
        for _ in range(rng.randint(0, 2)):
            at = instant(rng, edges, near)
            until = INF if name == "referral_accepted" else rng.choice((INF, instant(rng, edges, [at])))
            put(rows, f"customer_{name}", who, at, until=until, **fields)


def order(rng, rows, who, other, at, order_id, near, edges):
    """A sale; part or all of it may come back, and the customer may be merged into another for good or for a time."""
    money = rng.choice((100, 100, 250, 400, 1000))
    fields = {
        "order_id": order_id,
        "side": rng.choice(("online", "outlet")),
        "channel": rng.choice(("web", "store")),
        "outlet_id": rng.choice(("shop1", "shop2")),
        "group_id": rng.choice(([], ["north"], ["north", "all"])),
        "discounted": rng.random() < 0.5,
        "net_minor": money,
    }
    back = instant(rng, edges, [at, *near]) if rng.random() < 0.35 else None
    back = max(back, at) if back is not None else None
    whole = back is not None and rng.random() < 0.5
    merged = instant(rng, edges, [at, *near]) if rng.random() < 0.2 else None
    owners = [(who, at, INF)] if merged is None else [(who, at, merged), (other, max(at, merged), INF)]
    for subject, begins, ends in owners:
        end = min(ends, back) if whole else ends
        put(rows, "customer_order", subject, at, since=begins, until=end, **fields)
        if rng.random() < 0.5:
            put(rows, "customer_campaign_order", subject, at, since=begins, until=end, order_id=order_id,
                campaign_id=rng.choice(("k1", "k2")))  # fmt: skip
        for name in ("spend", "sold"):
            put(rows, f"customer_{name}", subject, at, since=begins, until=ends, net_minor=money)
        if back is not None:
            returned = money if whole else money // 2
            since = max(begins, back)
            put(rows, "customer_spend", subject, at, since=since, until=ends, net_minor=-returned)
            put(rows, "customer_returned", subject, at, since=since, until=ends, net_minor=returned)


#: For carts: thresholds of ``cart_case``.
SMALL_CARTS = {
    "cart_abandoner": {"ttl": "2d"},
    "high_value_cart_abandoner": {"floor": 1000, "percentile": 50, "partitions": 2},
}


def cart_case(seed):
    """Steps, orders and crossings as ``oracle.Simulation`` takes them, and the days."""
    rng = random.Random(seed)
    days = rng.choice([SPRING, AUTUMN])
    first, last = micros(day_of(days[0], ZONE).start), micros(day_of(days[-1], ZONE).end)
    halves = (last - first) // (30 * MINUTE)

    def moment():
        half = rng.choice([rng.randint(0, halves), rng.choice([46, 47, 48, 49, 95, 96, 97, 144, 146, 192, 194])])
        return min(max(first + half * 30 * MINUTE + rng.choice((0, 0, 0, 0, 1, -1, 5 * MINUTE)), first), last - 1)

    steps = []
    for number in range(rng.randint(1, 24)):
        step = rng.choice(("add", "add", "add", "add", "remove", "view", "checkout", "order"))
        product = None if step == "order" else rng.choice(("p1", "p1", "p2", None))
        price = rng.choice((999, 1001, 801, 1250, None)) if product else None
        currency = rng.choice(("GBP", "GBP", "GBP", "EUR")) if price is not None else None
        quantity = rng.choice((1000, 1000, 500, 2000)) if product else 0
        who, cart = rng.choice(("v1", "v1", "v2", "v3")), rng.choice(("c1", "c1", "c2"))
        steps.append((moment(), f"e{number:02d}", 0, who, cart, step, product, quantity, price, currency))
    orders = sorted({(moment(), rng.choice(("v1", "v2"))) for _ in range(rng.randint(0, 3))})
    states = ("low", "critical", "healthy")
    moved = {(moment(), rng.choice(("p1", "p2"))): rng.choice(states) for _ in range(rng.randint(0, 6))}
    return steps, orders, sorted((at, product, state, False) for (at, product), state in moved.items()), days


@contextmanager
def loaded_carts(steps, orders, crossings):
    """A DuckDB connection with ``cart_steps``, ``visitor_order`` and ``product_crossing``."""
    rows = {name: [] for name in relations()}
    for at, who in orders:
        put(rows, "visitor_order", who, at, order_id=f"{who}-{at}")
    for at, product, state, _ in crossings:
        put(rows, "product_crossing", None, at, signal="scarcity_state", product_id=product, to_state=state)
    schema = {
        "at": pl.Int64, "event_id": pl.String, "line": pl.Int64, "subject": pl.String, "cart_key": pl.String,
        "step": pl.String, "product_id": pl.String, "quantity": pl.Int64, "unit_price_minor": pl.Int64,
        "currency": pl.String,
    }  # fmt: skip
    with loaded(rows) as connection:
        connection.register("frame", pl.DataFrame(steps, schema=schema, orient="row").to_arrow())
        connection.execute("CREATE TABLE cart_steps AS SELECT * FROM frame")
        yield connection
