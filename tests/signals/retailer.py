"""A small random retailer: raw acts, carts, stock, sales and prices, and the facts that follow, written to the lake."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipelines.calendar import day_of, days_between
from pipelines.config import Tenant
from schemas.registry import LAKE

DAYS = days_between(date(2026, 10, 14), date(2026, 10, 28))
HOUR = timedelta(hours=1)
OUTLETS = [("web", "online", []), ("o1", "store", []), ("o2", "store", ["g1"])]


@dataclass
class Shop:
    """What happened, as plain rows with instants."""

    zone: object
    acts: list[tuple[str, str, datetime, str]] = field(default_factory=list)
    lines: list[dict] = field(default_factory=list)
    bought: list[tuple[str, str, str, datetime]] = field(default_factory=list)
    stock: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    orders: list[tuple[str, str, datetime]] = field(default_factory=list)
    versions: list[dict] = field(default_factory=list)
    published: dict[str, datetime] = field(default_factory=dict)

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


def make(zone, seed: int, products: int = 9, visitors: int = 12, busy: int = 700) -> Shop:
    """Random history of ``DAYS``."""
    chance = random.Random(seed)
    shop = Shop(zone)
    start, end = day_of(DAYS[0], zone).start, day_of(DAYS[-1], zone).end
    minutes = int((end - start) / timedelta(minutes=15))

    def moment(begin=0.0):
        at = start + timedelta(minutes=15 * int(minutes * (begin + (1 - begin) * chance.random())))
        return min(at + timedelta(microseconds=chance.choice([0, 0, 1, 999_999])), end - timedelta(microseconds=1))

    names = [f"p{n}" for n in range(products)]
    launch = {name: chance.choice([0.0, 0.0, 0.1, 0.4]) for name in names}
    for _ in range(busy):
        name = chance.choice(names)
        at = moment(launch[name])
        # Some hours are so busy that demand spikes and momentum breaks out.
        for _ in range(chance.choice([1, 1, 1, 2, 6])):
            shop.acts.append(("views", name, at, f"v{chance.randrange(visitors)}"))
        if chance.random() < 0.25:
            shop.acts.append(("add_to_bags", name, at, f"v{chance.randrange(visitors)}"))
    for n in range(busy // 5):
        name, at = chance.choice(names), moment()
        kind = chance.choice(["sale"] * 6 + ["return"])
        outlet = chance.choice([None, "web", "o1", "o2", "o3"])
        many = chance.choice([1000, 1000, 2000, 500]) * (1 if kind == "sale" else -1)
        shop.lines.append(
            {
                "order_id": f"s{n}",
                "product_id": name,
                "occurred_at": at,
                "kind": kind,
                "outlet_id": outlet,
                "quantity": many,
            }
        )
        if kind == "sale" and chance.random() < 0.7:
            shop.bought.append((f"v{chance.randrange(visitors)}", f"s{n}", name, at))
    _stock(shop, chance, names, moment)
    _carts(shop, chance, names, visitors, moment)
    _versions(shop, chance, names, start, end)
    return shop


def _stock(shop, chance, names, moment):
    taken = set()
    for n in range(len(names) * 14):
        name, at = chance.choice(names[:-1]), moment()
        place = chance.choice([("web", None), ("o1", None), ("o2", None), (None, "g1"), (None, None)][: 3 + n % 3])
        if (name, place, at) in taken:
            continue
        taken.add((name, place, at))
        inbound = at + timedelta(hours=chance.randrange(1, 200)) if chance.random() < 0.4 else None
        much = chance.choice([0, 0, 1000, 3000, 3001, 5000, 9000, 12_500, 13_000, 60_000])
        shop.stock.append(
            {
                "external_id": f"m{n}",
                "product_id": name,
                "outlet_id": place[0],
                "group_id": place[1],
                "measured_at": at,
                "available": much,
                "inbound_at": inbound,
            }
        )


def _carts(shop, chance, names, visitors, moment):
    for n in range(visitors * 25):
        step = chance.choice(["add"] * 6 + ["remove", "remove", "view", "checkout", "order"])
        shop.steps.append(
            {
                "flockr_vid": f"v{chance.randrange(visitors)}",
                "cart_key": f"c{chance.randrange(2)}",
                "occurred_at": moment(),
                "event_id": f"e{n:04d}",
                "line": 0,
                "step": step,
                "product_id": None if step in ("order", "checkout") else chance.choice(names[:4]),
                "quantity": 0 if step in ("order", "checkout") else chance.choice([1000, 2000]),
            }
        )
    # Some hours in which many put the same product into their carts.
    for n in range(6):
        name, at = chance.choice(names[:4]), moment()
        for visitor in range(visitors):
            if chance.random() < 0.8:
                shop.steps.append(
                    {
                        "flockr_vid": f"v{visitor}",
                        "cart_key": "c0",
                        "occurred_at": at,
                        "event_id": f"b{n}-{visitor:02d}",
                        "line": 0,
                        "step": "add",
                        "product_id": name,
                        "quantity": 1000,
                    }
                )
    for n in range(visitors * 3):
        shop.orders.append((f"v{chance.randrange(visitors)}", f"o{n}", moment()))


def _versions(shop, chance, names, start, end):
    for place, name in enumerate(names):
        at = start - timedelta(days=chance.randrange(1, 400))
        price = chance.choice([1000, 2000])
        for _ in range(chance.randrange(1, 9)):
            shop.versions.append(
                {"product_id": name, "at": at, "price": price, "currency": "GBP", "category": f"c{place % 2}"}
            )
            at = max(at, start) + timedelta(minutes=30 * chance.randrange(1, 200))
            price = chance.choice([1000, 950, 951, 970, 971, 969, 900, 2000, price])
        if chance.random() < 0.3:
            shop.versions[-1]["category"] = "c1"
        if chance.random() < 0.5:
            shop.published[name] = start + timedelta(days=chance.randrange(-40, 5))
    shop.versions = [row for row in shop.versions if row["at"] < end]


def write(tenant: Tenant, shop: Shop) -> None:
    """Publish the facts of a shop, as the stages before would have."""
    _put(tenant, "product_hourly", hourly(shop), "hour")
    acts = [
        {
            "flockr_vid": v,
            "occurred_at": at,
            "act": {"views": "view", "add_to_bags": "add"}[act],
            "product_id": p,
            "count": 1,
        }
        for act, p, at, v in sorted(set(shop.acts))
    ]
    _put(tenant, "visitor_acts", acts, "occurred_at")
    bought = [
        {"flockr_vid": v, "order_id": o, "product_id": p, "ordered_at": at, "units": 1000, "discounted": False}
        for v, o, p, at in shop.bought
    ]
    _put(tenant, "visitor_purchases", bought, "ordered_at")
    lines = [
        {**line, "line_no": 1, "net_minor": 0, "discount_minor": 0, "currency": "GBP", "channel": "web"}
        for line in shop.lines
    ]
    _put(tenant, "order_lines", lines, "occurred_at")
    _put(tenant, "stock_levels", shop.stock, "measured_at")
    _put(tenant, "cart_activity", shop.steps, "occurred_at")
    _put(
        tenant,
        "visitor_orders",
        [{"flockr_vid": v, "order_id": o, "ordered_at": at} for v, o, at in shop.orders],
        "ordered_at",
    )
    daily = defaultdict(lambda: {"units_sold": 0, "units_returned": 0, "purchases": 0})
    for line in shop.lines:
        row = daily[shop.day(line["occurred_at"]), line["product_id"]]
        row["units_sold"] += max(line["quantity"], 0)
        row["units_returned"] -= min(line["quantity"], 0)
        row["purchases"] += line["kind"] == "sale"
    zero = {"views": 0, "viewers": 0, "adds": 0, "revenue_minor": 0}
    rows = [{"product_id": p, "_day": day, **zero, **row} for (day, p), row in daily.items()]
    _put(tenant, "product_daily", rows, "_day")
    tenant.lake.replace(
        "products",
        frame(
            "products",
            [
                {"external_id": p, "first_published_at": shop.published.get(p)}
                for p in sorted({v["product_id"] for v in shop.versions})
            ],
            loose=True,
        ),
    )
    tenant.lake.replace("products_history", frame("products_history", history(shop), loose=True))
    tenant.lake.replace(
        "outlets",
        frame(
            "outlets",
            [
                {"external_id": o, "kind": kind, "group_ids": str(groups).replace("'", '"')}
                for o, kind, groups in OUTLETS
            ],
            loose=True,
        ),
    )


def hourly(shop: Shop) -> list[dict]:
    rows: dict = defaultdict(lambda: defaultdict(int))
    moments = [
        *[(act, p, at) for act, p, at, _ in shop.acts],
        *[("purchases", line["product_id"], line["occurred_at"]) for line in shop.lines if line["kind"] == "sale"],
    ]
    columns = {"views": "views", "add_to_bags": "adds", "purchases": "purchases"}
    for act, p, at in moments:
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        row = rows[shop.day(at), p, hour]
        row[columns[act]] += 1
        row[f"{columns[act]}_last_15m"] += at.minute >= 45
    names = [*columns.values(), *[f"{name}_last_15m" for name in columns.values()]]
    return [
        {"product_id": p, "hour": hour, "_day": day, **{name: row[name] for name in names}}
        for (day, p, hour), row in rows.items()
    ]


def history(shop: Shop) -> list[dict]:
    rows = []
    for name in {row["product_id"] for row in shop.versions}:
        own = sorted((row for row in shop.versions if row["product_id"] == name), key=lambda row: row["at"])
        ends = [row["at"] for row in own[1:]] + [None]
        for row, until in zip(own, ends, strict=True):
            rows.append(
                {
                    "external_id": name,
                    "category_path": row["category"],
                    "price_minor": row["price"],
                    "currency": row["currency"],
                    "effective_from": row["at"],
                    "effective_to": until,
                    "updated_at": row["at"],
                    "is_deleted": False,
                    "version_hash": "x",
                }
            )
    return sorted(rows, key=lambda row: (row["external_id"], row["effective_from"]))


def frame(table: str, rows: list[dict], *, loose: bool = False) -> pl.DataFrame:
    schema = {name: kind for name, kind in LAKE[table].schema.items() if name != "date" or loose}
    required = {c.name: "x" for c in LAKE[table] if loose and c.required and c.kind == "string"}
    required |= {
        c.name: datetime(2026, 1, 1, tzinfo=UTC) for c in LAKE[table] if loose and c.required and c.kind == "timestamp"
    }
    required |= {c.name: 0 for c in LAKE[table] if loose and c.required and c.kind == "int64"}
    return pl.DataFrame(
        [{name: row.get(name, required.get(name)) for name in schema} for row in rows], schema=schema, orient="row"
    )


def _put(tenant: Tenant, table: str, rows: list[dict], instant: str) -> None:
    with tenant.lake.writer(table) as writer:
        for day in DAYS:
            bounds = day_of(day, tenant.zone)
            inside = [
                row
                for row in rows
                if (row.get("_day") == day if "_day" in row else bounds.start <= row[instant] < bounds.end)
            ]
            writer.put(day, frame(table, inside))
