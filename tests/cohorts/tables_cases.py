"""Small random tables for the streams of rules: sessions, stock, sales and returns, merges, groups, campaigns, consent.

Rows have the columns of their contracts (others are null), timestamps as microseconds.
"""
# ruff: noqa: S608 (names of tables only)

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl

from pipelines.signals.units import DAY, HOUR, MINUTE
from schemas.registry import LAKE
from tests.cohorts.streams_cases import AUTUMN, CATEGORIES, PRODUCTS, SPRING, _edges, instant

TABLES = (
    "visitor_acts", "visitor_purchases", "visitor_orders", "visitor_daily", "cart_activity", "signal_crossings",
    "customer_orders", "order_lines", "customer_merges", "groups_history", "outlets_history", "campaigns",
    "referral_events", "opt_outs", "link_clicks", "cohort_membership",
)  # fmt: skip
BEGINNING = -62_135_596_800_000_000


def tables_case(seed, reach=365):
    """Rows by table, and the days to look at; most instants lie no more than so many days before those."""
    rng = random.Random(seed)
    days = rng.choice([SPRING, AUTUMN])
    tables = {name: [] for name in TABLES}
    edges = _edges(days, reach)
    _crossings(rng, tables, edges)
    _visitors(rng, tables, edges[-40:])
    _places(rng, tables, edges)
    _sales(rng, tables, edges)
    _words(rng, tables, edges)
    return tables, days


def _crossings(rng, tables, edges):
    for product in PRODUCTS:
        for signal, names in (("scarcity_state", ("out", "low", "healthy")), ("momentum", ("steady", "surging"))):
            instants, before = sorted({instant(rng, edges[-60:]) for _ in range(rng.randint(0, 5))}), None
            for at in instants:
                after = rng.choice([name for name in names if name != before])
                tables["signal_crossings"].append({
                    "crossing_id": f"{product}-{signal}-{at}", "signal_id": signal, "subject_type": "product",
                    "subject": product, "from_state": before, "to_state": after, "effective_at": at,
                    "suppressed_by": rng.choice((None, None, None, "cooldown")),
                })  # fmt: skip
                before = after


def _visitors(rng, tables, edges):
    near = [instant(rng, edges) for _ in range(4)]
    acts = ("view",) * 6 + ("add", "add", "wishlist", "unwishlist", "alert", "checkout", "remove")
    for _ in range(rng.randint(20, 60)):
        act, product = rng.choice(acts), rng.choice(PRODUCTS)
        key = {
            "flockr_vid": rng.choice(("v1", "v2", "v3")),
            "occurred_at": rng.choice(near) + rng.choice((0, MINUTE, 30 * MINUTE, HOUR, DAY)),
            "act": act,
            "product_id": None if act == "checkout" else product,
            "session_id": rng.choice(("s1", "s1", "s2", None)),
            "outlet_id": None,
        }
        if key["session_id"] is not None:
            key["session_id"] += f"-{key['occurred_at'] // DAY}"
        if key not in [{name: each[name] for name in key} for each in tables["visitor_acts"]]:
            more = {"category": CATEGORIES[product], "count": rng.choice((1, 1, 2))}
            tables["visitor_acts"].append({**key, **more})
    for number in range(rng.randint(0, 5)):
        who, at = rng.choice(("v1", "v2", "v3")), instant(rng, edges, near)
        order = {"flockr_vid": who, "order_id": f"w{number}", "ordered_at": at}
        tables["visitor_orders"].append(order)
        product = rng.choice(PRODUCTS)
        tables["visitor_purchases"].append(
            {**order, "product_id": product, "category": CATEGORIES[product], "discounted": rng.random() < 0.5}
        )
    for who in ("v1", "v2"):
        tables["visitor_daily"].append({"flockr_vid": who, "last_at": instant(rng, edges, near)})


def _places(rng, tables, edges):
    def listed(names):
        return rng.choice((None, json.dumps(sorted(rng.sample(names, rng.randint(0, 2))))))

    for table, ids in (("groups_history", ("g1", "g2", "g3")), ("outlets_history", ("o1", "o2"))):
        for name in ids:
            instants = sorted({instant(rng, edges) for _ in range(rng.randint(1, 3))})
            for at, until in zip(instants, [*instants[1:], None], strict=True):
                version = {"external_id": name, "effective_from": at, "effective_to": until,
                           "is_deleted": rng.random() < 0.1}  # fmt: skip
                if table == "groups_history":
                    version |= {
                        "parent_id": rng.choice((None, None, "g1", "g3", "g4")),
                        "outlet_ids": listed(["o1", "o2"]),
                        "valid_from": rng.choice((None, None, instant(rng, edges))),
                        "valid_to": rng.choice((None, None, instant(rng, edges))),
                    }
                else:
                    version["group_ids"] = listed(["g1", "g2"])
                tables[table].append(version)


def _sales(rng, tables, edges):
    near = []
    for number in range(rng.randint(6, 20)):
        at = instant(rng, edges, near)
        near.append(at)
        sale = {
            "order_id": f"t{number}", "kind": "sale", "sale_id": f"t{number}", "occurred_at": at,
            "customer_id": rng.choice(("c1", "c2", "c3", None)), "net_minor": rng.choice((100, 250, 1000)),
            "currency": rng.choice(("GBP", "GBP", "GBP", "EUR")), "units": rng.choice((1000, 2000)),
            "side": rng.choice(("online", "outlet")), "channel": "web", "outlet_id": rng.choice(("o1", "o2", None)),
            "discounted": rng.random() < 0.5,
            "product_ids": json.dumps(sorted(rng.sample(PRODUCTS, rng.randint(0, 2)))),
        }  # fmt: skip
        sale["sent_customer_id"] = rng.choice((sale["customer_id"], None))
        tables["customer_orders"].append(sale)
        _line(rng, tables, sale)
        for place in range(rng.choice((0, 0, 1, 2))):
            back = {
                **sale, "order_id": f"t{number}-r{place}", "kind": "return", "units": -rng.choice((1000, 2000)),
                "occurred_at": instant(rng, edges, [at]), "net_minor": -rng.choice((50, 100)),
            }  # fmt: skip
            tables["customer_orders"].append(back)
            _line(rng, tables, back)
    for who in rng.sample(("c1", "c2", "c3"), rng.randint(0, 2)):
        instants = sorted({rng.choice((BEGINNING, instant(rng, edges, near))) for _ in range(2)})
        for at, target in zip(instants, ("c4", who), strict=False):
            tables["customer_merges"].append({"external_id": who, "effective_from": at, "customer_id": target})


def _line(rng, tables, order):
    names = ("order_id", "kind", "sale_id", "occurred_at", "net_minor", "currency", "customer_id")
    tables["order_lines"].append(
        {**{name: order[name] for name in names}, "line_no": 1, "category": rng.choice(("a", "b", None))}
    )


def _words(rng, tables, edges):
    who = ("c1", "c2", "c3", None)
    roles = ("promoted", "excluded", None)
    for name in ("k1", "k2"):
        products = [{"product_id": rng.choice(PRODUCTS), "role": rng.choice(roles)} for _ in range(rng.randint(0, 2))]
        tables["campaigns"].append({"external_id": name, "products": json.dumps(products)})
    for number in range(rng.randint(0, 6)):
        tables["link_clicks"].append({
            "event_id": f"e{number}", "customer_id": rng.choice(who), "occurred_at": instant(rng, edges),
            "campaign_id": rng.choice(("k1", None)), "link_id": "l1",
        })  # fmt: skip
        tables["opt_outs"].append({
            "external_id": f"x{number}", "customer_id": rng.choice(who), "channel": rng.choice(("email", "sms")),
            "action": rng.choice(("opt_out", "opt_out", "opt_in")), "reason": "agent",
            "scope": rng.choice(("all", "all", "campaign")), "occurred_at": instant(rng, edges),
        })  # fmt: skip
        name = rng.choice(("referral.accepted", "referral.flagged", "referral.flagged", "referral.rejected"))
        tables["referral_events"].append({
            "external_id": f"f{number}", "name": name, "occurred_at": instant(rng, edges[-40:]), "campaign_id": "k1",
            "entity_id": rng.choice(("i1", "i2")), "referrer_id": rng.choice(who),
        })  # fmt: skip


@contextmanager
def loaded_tables(tables, zone):
    """A DuckDB connection with the tables under their names, dates filled in from their instants."""
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        for name in TABLES:
            connection.register("frame", _frame(name, tables[name], zone).to_arrow())
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
        yield connection


def _frame(name, rows, zone):
    schema = LAKE[name].schema
    times = [column for column, dtype in schema.items() if dtype == pl.Datetime("us", "UTC")]
    plain = {column: pl.Int64 if column in times else dtype for column, dtype in schema.items()}
    filled = [{column: each.get(column) for column in schema} for each in rows]
    for each in filled:
        at = next((each[column] for column in ("occurred_at", "ordered_at", "last_at") if each.get(column)), None)
        if "date" in schema and at is not None:
            each["date"] = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(zone).date()
    return pl.DataFrame(filled, schema=plain, orient="row").with_columns(pl.col(times).cast(pl.Datetime("us", "UTC")))
