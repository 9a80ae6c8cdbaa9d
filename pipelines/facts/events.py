"""What visitors did on a day: the steps of their carts and their daily counts, from that day's events alone.

An event belongs to its own visitor, else to the visitor that its customer was last linked to before it happened; an
event that has neither is left out.
"""

from __future__ import annotations

import polars as pl

from pipelines.entities.history import join_as_of
from schemas.registry import LAKE

STEPS_OF_A_CART = {
    "Product Added": "add",
    "Product Removed": "remove",
    "Cart Viewed": "view",
    "Checkout Started": "checkout",
    "Order Completed": "order",
}
ONE = 1000
VISITOR_COLUMNS = (
    "event_name",
    "occurred_at",
    "customer_id",
    "flockr_vid",
    "session_id",
    "agent_class",
    "product_id",
)
CART_COLUMNS = (
    "external_id",
    "event_name",
    "occurred_at",
    "customer_id",
    "flockr_vid",
    "session_id",
    "product_id",
    "products",
    "cart_id",
    "currency",
    "outlet_id",
)
_LINE = pl.Struct(
    {"product_id": pl.String(), "quantity": pl.Int64(), "unit_price_minor": pl.Int64(), "currency": pl.String()}
)


def cart_activity(events: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    """Steps that change or end a cart, one row per event and product, without ``date``.

    Args:
        events: ``CART_COLUMNS`` of cart events, with the visitor filled in.
        products: ``products_history``, for the price of a line that does not carry one.
    """
    steps = events.filter(pl.col("flockr_vid").is_not_null()).with_columns(
        pl.col("event_name").replace_strict(STEPS_OF_A_CART, default=None, return_dtype=pl.String).alias("step"),
        cart_key().alias("cart_key"),
    )
    priced = join_as_of(
        with_lines(steps.filter(pl.col("step").is_not_null())),
        products,
        key="product_id",
        instant="occurred_at",
        columns=["price_minor", "currency"],
        prefix="_catalogue_",
    )
    own = pl.col("unit_price_minor").is_not_null()
    return priced.select(
        "flockr_vid",
        "occurred_at",
        pl.col("external_id").alias("event_id"),
        "line",
        "cart_key",
        "step",
        "product_id",
        pl.when(pl.col("product_id").is_null()).then(0).otherwise(pl.col("quantity").fill_null(ONE)).alias("quantity"),
        pl.coalesce("unit_price_minor", "_catalogue_price_minor").alias("unit_price_minor"),
        pl.when(own)
        .then(pl.coalesce("_line_currency", "currency", "_catalogue_currency"))
        .when(pl.col("product_id").is_not_null())
        .then(pl.col("_catalogue_currency"))
        .otherwise(pl.col("currency"))
        .alias("currency"),
        "outlet_id",
    )


def cart_key() -> pl.Expr:
    """The cart of an event: its own id, else its session, else its visitor, told apart by a prefix."""
    return pl.coalesce(
        pl.lit("c:") + pl.col("cart_id"), pl.lit("s:") + pl.col("session_id"), pl.lit("v:") + pl.col("flockr_vid")
    )


def with_lines(events: pl.DataFrame) -> pl.DataFrame:
    """One row per entry of ``products``; an event without entries keeps one row with its scalar product.

    Adds ``line``, ``quantity``, ``unit_price_minor`` and ``_line_currency``, and replaces ``product_id``.
    """
    listed = pl.col("products").is_not_null() & (pl.col("products") != "[]")
    many = (
        events.filter(listed)
        .with_columns(pl.col("products").str.json_decode(pl.List(_LINE)))
        .with_columns(pl.int_ranges(pl.col("products").list.len().cast(pl.Int64), dtype=pl.Int64).alias("line"))
        .explode("products", "line")
        .with_columns(
            pl.col("products").struct.field("product_id"),
            pl.col("products").struct.field("quantity"),
            pl.col("products").struct.field("unit_price_minor"),
            pl.col("products").struct.field("currency").alias("_line_currency"),
        )
        .drop("products")
    )
    single = (
        events.filter(~listed | listed.is_null())
        .drop("products")
        .with_columns(
            pl.lit(0, dtype=pl.Int64).alias("line"),
            pl.when(pl.col("product_id").is_not_null()).then(pl.lit(ONE, dtype=pl.Int64)).alias("quantity"),
            pl.lit(None, dtype=pl.Int64).alias("unit_price_minor"),
            pl.lit(None, dtype=pl.String).alias("_line_currency"),
        )
    )
    return pl.concat([many.select(single.columns), single])


def visitor_daily(events: pl.DataFrame) -> pl.DataFrame:
    """Counts of a visitor's events without bots, without ``date``.

    Args:
        events: ``VISITOR_COLUMNS``, with the visitor filled in.
    """
    name = pl.col("event_name")
    seen = events.filter(pl.col("flockr_vid").is_not_null() & is_no_bot())
    viewed = name == "Product Viewed"

    def count(event_name: str) -> pl.Expr:
        return (name == event_name).sum().cast(pl.Int64)

    counts = seen.group_by("flockr_vid").agg(
        pl.len().cast(pl.Int64).alias("events"),
        viewed.sum().cast(pl.Int64).alias("views"),
        count("Product Added").alias("adds"),
        count("Product Removed").alias("removes"),
        count("Checkout Started").alias("checkouts"),
        count("Order Completed").alias("orders"),
        pl.col("occurred_at").min().alias("first_at"),
        pl.col("occurred_at").max().alias("last_at"),
    )
    distinct = counts.join(_distinct(seen, "session_id", "sessions"), on="flockr_vid", how="left").join(
        _distinct(seen.filter(viewed), "product_id", "products_viewed"), on="flockr_vid", how="left"
    )
    filled = distinct.with_columns(pl.col("sessions", "products_viewed").fill_null(0))
    return filled.select(name for name in LAKE["visitor_daily"].names if name != "date")


def is_no_bot() -> pl.Expr:
    """Whether an event may count as demand; an unknown agent may."""
    return pl.col("agent_class").ne_missing("bot")


def _distinct(events: pl.DataFrame, column: str, name: str) -> pl.DataFrame:
    """Distinct values per visitor, by pairs: a set per group costs several times as much."""
    pairs = events.select("flockr_vid", column).drop_nulls().unique()
    return pairs.group_by("flockr_vid").agg(pl.len().cast(pl.Int64).alias(name))
