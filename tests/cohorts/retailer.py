"""Small random histories written to the lake as facts, as the stages before would have left them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import day_of, days_between
from pipelines.config import Tenant
from schemas.registry import LAKE

DAYS = days_between(date(2026, 10, 23), date(2026, 10, 27))


def write(tenant: Tenant, table: str, rows: list[dict], days: list[date] | None, instant: str = "") -> None:
    """Publish rows of a table, by the tenant day of ``instant`` where it is partitioned."""
    contract = LAKE[table]
    schema = {name: dtype for name, dtype in contract.schema.items() if name != "date"}
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")
    with tenant.lake.writer(table) as writer:
        if days is None:
            writer.put(None, frame)
            return
        for day in days:
            bounds = day_of(day, tenant.zone)
            writer.put(day, frame.filter(pl.col(instant).is_between(bounds.start, bounds.end, closed="left")))


def instants(zone: ZoneInfo) -> tuple[datetime, int]:
    start = day_of(DAYS[0], zone).start
    return start, int((day_of(DAYS[-1], zone).end - start) / timedelta(minutes=30))


def write_history(tenant: Tenant, seed: int, visitors: int = 40, products: int = 6) -> None:
    """Facts of ``DAYS``: carts, orders, stock, demand and links."""
    chance = random.Random(seed)
    start, halves = instants(tenant.zone)

    def moment() -> datetime:
        return (
            start
            + timedelta(minutes=30 * chance.randrange(halves))
            + timedelta(microseconds=chance.choice([0, 0, 0, 1, 7]))
        )

    carts, orders, sales = [], [], []
    for place in range(visitors * 12):
        visitor = f"v{chance.randrange(visitors)}"
        step = chance.choice(["add"] * 5 + ["remove", "view", "checkout"])
        carts.append(
            {
                "flockr_vid": visitor,
                "occurred_at": moment(),
                "event_id": f"e{place}",
                "line": 0,
                "cart_key": f"c{chance.randrange(2)}",
                "step": step,
                "product_id": f"p{chance.randrange(products)}",
                "quantity": chance.choice([1000, 2000, 500]),
                "unit_price_minor": chance.choice([999, 5000, 12000]),
                "currency": "GBP",
            }
        )
    for place in range(visitors):
        visitor, at = chance.randrange(visitors), moment()
        sale = {
            "order_id": f"o{place}",
            "kind": "sale",
            "sale_id": f"o{place}",
            "customer_id": f"k{visitor}",
            "occurred_at": at,
            "net_minor": 1000 + place,
            "currency": "GBP",
            "units": 1000,
            "discount_minor": 0,
            "channel": "web",
        }
        sales.append(sale)
        orders.append({"flockr_vid": f"v{visitor}", "order_id": f"o{place}", "ordered_at": at})
        if place % 5 == 0:
            later = at + timedelta(hours=chance.randrange(1, 40))
            sales.append(
                {
                    **sale,
                    "order_id": f"r{place}",
                    "kind": "return",
                    "occurred_at": later,
                    "net_minor": -1000,
                    "units": -1000,
                }
            )
    links = [
        {
            "external_id": f"l{n}",
            "flockr_vid": f"v{n}",
            "customer_id": f"k{n}",
            "resolution_event": "login",
            "occurred_at": moment(),
        }
        for n in range(0, visitors, 2)
    ]
    write(tenant, "cart_activity", carts, DAYS, "occurred_at")
    write(tenant, "visitor_orders", orders, DAYS, "ordered_at")
    write(tenant, "customer_orders", [row for row in sales], DAYS, "occurred_at")
    write(tenant, "identity_links", links, None)
    write_products(tenant, chance, products, moment)


def write_products(tenant: Tenant, chance: random.Random, products: int, moment) -> None:
    stock, hourly, daily = {}, {}, []
    for place in range(products * 20):
        at = moment()
        product = f"p{chance.randrange(products)}"
        outlet = f"o{chance.randrange(2)}"
        stock[(product, outlet, at)] = {
            "external_id": f"s{place}",
            "product_id": product,
            "outlet_id": outlet,
            "available": chance.choice([0, 1000, 2000, 3000, 4000, 6000, 9000, 12000, 40000]),
            "measured_at": at,
        }
        hour = moment().replace(minute=0, second=0, microsecond=0)
        hourly[(product, hour)] = {
            "product_id": product,
            "hour": hour,
            **{name: 0 for name in ("adds", "adds_last_15m", "purchases", "purchases_last_15m")},
            "views": chance.randrange(1, 30),
            "views_last_15m": chance.randrange(2),
        }
    zero = {name: 0 for name in ("views", "viewers", "adds", "units_returned", "revenue_minor")}
    for day in DAYS:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        for n in range(products):
            sold = chance.randrange(4)
            row = {
                "product_id": f"p{n}",
                "units_sold": sold * 1000,
                "purchases": sold,
                "in_stock": chance.random() < 0.8,
            }
            daily.append((noon, {**zero, **row}))
    write(tenant, "stock_levels", list(stock.values()), DAYS, "measured_at")
    write(tenant, "product_hourly", list(hourly.values()), DAYS, "hour")
    contract = LAKE["product_daily"]
    schema = {name: dtype for name, dtype in contract.schema.items() if name != "date"}
    with tenant.lake.writer("product_daily") as writer:
        for day in DAYS:
            rows = [row for at, row in daily if at.date() == day]
            filled = [{name: row.get(name) for name in schema} for row in rows]
            writer.put(day, pl.DataFrame(filled, schema=schema, orient="row"))
