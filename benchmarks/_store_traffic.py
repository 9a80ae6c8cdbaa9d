"""Traffic of a store for benchmarks: sessions of visitors of unequal zeal, carts in a fifth of them, then orders.

Deterministic by day. Writes the string layout of events and the facts that no other stage is measured on here.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from pipelines.config import Tenant
from schemas.registry import LAKE

PRODUCTS = 100_000
VIEW, ADD, REMOVE, CART, CHECKOUT, ORDER = range(6)
NAMES = ["Product Viewed", "Product Added", "Product Removed", "Cart Viewed", "Checkout Started", "Order Completed"]
EVENTS_A_SESSION = 6
#: Zeal of visitors: of a million with 3.3 sessions on average in a month, 786,000 come at least once.
ZEAL = 1.1
#: Of sessions with at least four events; a fifth of all, and an add in 7 % of the events.
CARTING = 0.36
ORDERING = 0.35
STEP_SHARES = [0.62, 0.25, 0.03, 0.10]


def write(tenant: Tenant, days: Sequence[date], events: int, visitors: int) -> None:
    """Events, orders, links, prices and stock crossings of all days; done once, marked by a file."""
    if (tenant.home / "complete").exists():
        return
    shutil.rmtree(tenant.home, ignore_errors=True)
    lake = tenant.lake
    lake.replace("products_history", filled("products_history", prices()))
    lake.replace("identity_links", filled("identity_links", links(days, visitors)))
    reach = np.cumsum(np.random.default_rng(7).gamma(ZEAL, size=visitors))
    fame = np.cumsum(1 / np.arange(1, PRODUCTS + 1) ** 1.05)
    with (
        lake.writer("customer_events") as acts,
        lake.writer("customer_orders") as orders,
        lake.writer("visitor_orders") as ended,
        lake.writer("signal_crossings") as crossed,
    ):
        for day in days:
            frame = events_of(day, events // len(days), reach, fame)
            bought = frame.filter(pl.col("event_name") == NAMES[ORDER])
            acts.put(day, filled("customer_events", frame))
            ended.put(day, filled("visitor_orders", ordered(bought)))
            orders.put(day, filled("customer_orders", sales(bought)))
            crossed.put(day, filled("signal_crossings", crossings(day)))
    (tenant.home / "complete").touch()


def filled(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every column of the table that it lacks as null."""
    return frame.with_columns(
        pl.lit(None, dtype=column.dtype).alias(column.name)
        for column in LAKE[table]
        if column.name not in frame.columns and column.name != "date"
    )


def text(prefix: str, values: np.ndarray, width: int) -> pl.Series:
    """Ids of the usual length: a prefix and the number with leading zeros."""
    return pl.Series(values).cast(pl.String).str.zfill(width).str.replace("^", prefix)


def random_ids(chance: np.random.Generator, rows: int) -> pl.Series:
    """Ids of 32 hexadecimal digits, as events have them; they do not compress."""
    raw = chance.bytes(rows * 16)
    return pl.Series([raw[start : start + 16] for start in range(0, len(raw), 16)], dtype=pl.Binary).bin.encode("hex")


def micros(day: date) -> int:
    """First instant of the UTC day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def events_of(day: date, rows: int, reach: np.ndarray, fame: np.ndarray) -> pl.DataFrame:
    """One day of sessions; half of the visitors keep one cart, the others begin a new one in each session."""
    chance = np.random.default_rng(day.toordinal())
    sessions = rows // EVENTS_A_SESSION
    who = np.searchsorted(reach, chance.random(sessions) * reach[-1])
    length = np.minimum(chance.geometric(1 / EVENTS_A_SESSION, sessions), 60)
    session = np.repeat(np.arange(sessions), length)
    place = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
    kind, in_cart = kinds(chance, length, session, place)
    begins = chance.integers(0, 80_000, sessions)
    seconds = np.minimum(begins[session] + place * 61 + chance.integers(0, 30, len(place)), 86_399)
    visitor = who[session]
    cart = np.where(visitor % 2 == 0, visitor, 10_000_000 * (day.toordinal() % 100) + session)
    frame = pl.DataFrame(
        {
            "external_id": random_ids(chance, len(session)),
            "event_name": pl.Series(kind).replace_strict(dict(enumerate(NAMES)), return_dtype=pl.String),
            "occurred_at": pl.Series(
                micros(day) + seconds * 1_000_000 + chance.integers(0, 1_000_000, len(place))
            ).cast(pl.Datetime("us", "UTC")),
            "flockr_vid": text("v", visitor, 17),
            "customer_id": text("k", visitor, 9),
            "session_id": text("s", day.toordinal() * 10_000_000 + session, 19),
            "product_id": text("p", np.searchsorted(fame, chance.random(len(session)) * fame[-1]), 9),
            "cart_id": text("c", cart, 17),
            "order_id": text("o", day.toordinal() * 10_000_000 + session, 19),
            "currency": pl.repeat("GBP", len(session), eager=True),
            "channel": pl.repeat("web", len(session), eager=True),
            "known": visitor % 10 < 3,
            "in_cart": in_cart & (kind != VIEW),
            "is_order": kind == ORDER,
        }
    )
    return frame.with_columns(
        pl.when("known").then("customer_id").alias("customer_id"),
        pl.when("in_cart").then("cart_id").alias("cart_id"),
        pl.when("in_cart").then("currency").alias("currency"),
        pl.when("is_order").then("order_id").alias("order_id"),
        pl.when(pl.col("event_name").is_in([NAMES[VIEW], NAMES[ADD], NAMES[REMOVE]])).then("product_id"),
    ).drop("known", "in_cart", "is_order")


def kinds(
    chance: np.random.Generator, length: np.ndarray, session: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What each event is, and whether its session has a cart: views, then steps of a cart, an order at the end."""
    carts = (length >= 4) & (chance.random(len(length)) < CARTING)
    orders = carts & (chance.random(len(length)) < ORDERING)
    in_cart = carts[session]
    steps = chance.choice([VIEW, ADD, REMOVE, CART], len(session), p=STEP_SHARES)
    kind = np.where(in_cart & (place > 0), steps, VIEW)
    kind = np.where(in_cart & (place == 1), ADD, kind)
    left = length[session] - place
    kind = np.where(orders[session] & (left == 2), CHECKOUT, kind)
    return np.where(orders[session] & (left == 1), ORDER, kind), in_cart


def prices() -> pl.DataFrame:
    """Rows of ``products_history``."""
    numbers = np.arange(PRODUCTS)
    return pl.DataFrame(
        {"external_id": text("p", numbers, 9), "price_minor": numbers * 7919 % 9000 + 499}
    ).with_columns(
        pl.lit("GBP").alias("currency"),
        pl.lit(datetime(2026, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")).alias("effective_from"),
        pl.lit(False).alias("is_deleted"),
        pl.lit("0").alias("version_hash"),
    )


def links(days: Sequence[date], visitors: int) -> pl.DataFrame:
    """Three of ten visitors become known at some instant of the month."""
    chance = np.random.default_rng(11)
    known = np.arange(visitors)[np.arange(visitors) % 10 < 3]
    at = micros(days[0]) + chance.integers(0, timedelta(days=len(days)) // timedelta(microseconds=1), len(known))
    return pl.DataFrame(
        {
            "external_id": text("l", known, 17),
            "flockr_vid": text("v", known, 17),
            "customer_id": text("k", known, 9),
            "resolution_event": pl.repeat("login", len(known), eager=True),
            "occurred_at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
            "updated_at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
            "is_deleted": pl.repeat(False, len(known), eager=True),
            "version_hash": pl.repeat("0", len(known), eager=True),
        }
    ).select(pl.col(name) for name in LAKE["identity_links"].names if name in _LINK_COLUMNS)


_LINK_COLUMNS = {
    "external_id", "flockr_vid", "customer_id", "resolution_event", "occurred_at", "updated_at", "is_deleted",
    "version_hash",
}  # fmt: skip


def ordered(bought: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``visitor_orders``."""
    return bought.select("flockr_vid", "order_id", pl.col("occurred_at").alias("ordered_at"))


def sales(bought: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``customer_orders``: every visitor is its own customer."""
    one = pl.lit(1000, dtype=pl.Int64)
    return bought.select(
        "order_id",
        pl.lit("sale").alias("kind"),
        pl.col("order_id").alias("sale_id"),
        pl.lit("k") + pl.col("flockr_vid").str.slice(-9),
        "occurred_at",
        one.alias("net_minor"),
        pl.lit("GBP").alias("currency"),
        one.alias("units"),
        pl.lit(0, dtype=pl.Int64).alias("discount_minor"),
        pl.lit("web").alias("channel"),
    ).rename({"literal": "customer_id"})


def crossings(day: date) -> pl.DataFrame:
    """A hundredth of the products changes its scarcity level on a day."""
    chance = np.random.default_rng(day.toordinal())
    product = chance.choice(PRODUCTS, PRODUCTS // 100, replace=False)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pl.DataFrame(
        {
            "crossing_id": text(f"x{day}", product, 9),
            "signal_id": pl.repeat("scarcity_state", len(product), eager=True),
            "subject_type": pl.repeat("product", len(product), eager=True),
            "subject": text("p", product, 9),
            "to_state": pl.Series(chance.choice(["low", "critical", "healthy"], len(product), p=[0.25, 0.15, 0.6])),
            "direction": pl.repeat("down", len(product), eager=True),
            "effective_at": pl.repeat(noon, len(product), eager=True).cast(pl.Datetime("us", "UTC")),
            "definition_version": pl.repeat("bench", len(product), eager=True),
        }
    )
