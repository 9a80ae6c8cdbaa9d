"""Sales and returns of a day, their lines, and what each customer bought and gave back.

An order is a sale that is paid, fulfilled, completed or partially returned. A return or void counts on its own day,
against the sale that it names, with negative amounts whatever sign its sender writes.
"""

from __future__ import annotations

import polars as pl

from pipelines.facts.through_time import with_value

ORDER_STATUSES = ("paid", "fulfilled", "completed", "partially_returned")
TRANSACTION_COLUMNS = (
    "external_id",
    "type",
    "status",
    "occurred_at",
    "customer_id",
    "outlet_id",
    "channel",
    "original_transaction_id",
    "currency",
    "discount_minor",
    "net_minor",
    "coupon_codes",
    "campaign_ids",
    "lines",
)
ONLINE_CHANNELS = ("web", "app", "marketplace", "phone")
_LINE = pl.Struct(
    {
        "line_no": pl.Int64(),
        "product_id": pl.String(),
        "quantity": pl.Int64(),
        "line_net_minor": pl.Int64(),
        "line_discount_minor": pl.Int64(),
        "category": pl.String(),
    }
)


def is_order() -> pl.Expr:
    """Whether a transaction is an order."""
    return ((pl.col("type") == "sale") & pl.col("status").is_in(ORDER_STATUSES)).fill_null(False)


def is_return() -> pl.Expr:
    """Whether a transaction takes back a sale that it names; one that was cancelled takes nothing back."""
    kind = pl.col("type").is_in(("return", "void")) & (pl.col("status") != "cancelled")
    return (kind & pl.col("original_transaction_id").is_not_null()).fill_null(False)


def sales_and_returns(transactions: pl.DataFrame) -> pl.DataFrame:
    """Orders and returns among ``TRANSACTION_COLUMNS``, with ``order_id``, ``kind`` and ``sale_id``.

    A row that only patches made and that lacks an amount, a currency or a channel cannot be counted and is left out.
    """
    return (
        transactions.filter(is_order() | is_return())
        .drop_nulls(["occurred_at", "net_minor", "currency", "channel"])
        .with_columns(
            pl.col("external_id").alias("order_id"),
            pl.when(is_order()).then(pl.lit("sale")).otherwise(pl.lit("return")).alias("kind"),
            pl.when(is_order()).then("external_id").otherwise("original_transaction_id").alias("sale_id"),
        )
    )


def order_lines(orders: pl.DataFrame, categories: pl.DataFrame) -> pl.DataFrame:
    """One row per line of ``sales_and_returns``, without ``date``; in no order.

    Lines keep their own numbers where these tell the lines of an order apart, otherwise they are numbered from 1.

    Args:
        orders: ``sales_and_returns``.
        categories: ``through_time.changes`` of ``category_path``.
    """
    opened = (
        orders.filter(pl.col("lines").is_not_null() & (pl.col("lines") != "[]"))
        .with_columns(pl.col("lines").str.json_decode(pl.List(_LINE)))
        .with_columns(
            pl.int_ranges(1, pl.col("lines").list.len().cast(pl.Int64) + 1, dtype=pl.Int64).alias("_position")
        )
        .with_columns(_numbers_tell_apart().alias("_numbered"))
        .explode("lines", "_position")
    )
    line = pl.col("lines").struct
    rows = opened.select(
        "order_id",
        pl.when("_numbered").then(line.field("line_no")).otherwise("_position").alias("line_no"),
        "kind",
        "sale_id",
        "customer_id",
        "occurred_at",
        line.field("product_id"),
        _signed(line.field("quantity")).alias("quantity"),
        _signed(line.field("line_net_minor")).alias("net_minor"),
        _signed(line.field("line_discount_minor")).alias("discount_minor"),
        "currency",
        "outlet_id",
        "channel",
        line.field("category").alias("_own"),
        ((line.field("line_discount_minor") != 0).fill_null(False) | _has_coupon()).alias("discounted"),
    )
    named = with_value(rows, categories, key="product_id", instant="occurred_at", name="category")
    return named.with_columns(pl.coalesce("category", "_own").alias("category")).drop("_own")


def customer_orders(orders: pl.DataFrame, lines: pl.DataFrame, kinds: pl.DataFrame) -> pl.DataFrame:
    """One row per order or return, without ``date``.

    Args:
        orders: ``sales_and_returns``.
        lines: their ``order_lines``.
        kinds: ``through_time.changes`` of the ``kind`` of outlets.
    """
    totals = lines.group_by("order_id").agg(
        pl.col("quantity").sum().alias("units"),
        pl.col("discounted").any().alias("_in_lines"),
        pl.col("product_id").drop_nulls().unique().sort().alias("v"),
    )
    placed = with_value(orders, kinds, key="outlet_id", instant="occurred_at", name="_kind")
    of_all = (pl.col("discount_minor") != 0).fill_null(False) | _has_coupon()
    online = pl.col("channel").is_in(ONLINE_CHANNELS) | (pl.col("_kind") == "online").fill_null(False)
    return placed.join(totals, on="order_id", how="left").select(
        "order_id",
        "kind",
        "sale_id",
        "customer_id",
        "occurred_at",
        _signed(pl.col("net_minor")).alias("net_minor"),
        "currency",
        pl.col("units").fill_null(0),
        _signed(pl.col("discount_minor")).alias("discount_minor"),
        "channel",
        "outlet_id",
        "campaign_ids",
        "sent_customer_id",
        (of_all | pl.col("_in_lines").fill_null(False)).alias("discounted"),
        pl.when(online).then(pl.lit("online")).otherwise(pl.lit("outlet")).alias("side"),
        _json_list("v").fill_null("[]").alias("product_ids"),
    )


def customer_daily(orders: pl.DataFrame) -> pl.DataFrame:
    """What a customer bought and returned per currency, without ``date``, from ``customer_orders``."""
    sale, back = pl.col("kind") == "sale", pl.col("kind") == "return"
    return (
        orders.filter(pl.col("customer_id").is_not_null())
        .group_by("customer_id", "currency")
        .agg(
            sale.sum().cast(pl.Int64).alias("orders"),
            pl.col("net_minor").filter(sale).sum().alias("spend_minor"),
            pl.col("discount_minor").filter(sale).sum(),
            pl.col("units").filter(sale).sum(),
            back.sum().cast(pl.Int64).alias("returns"),
            -pl.col("net_minor").filter(back).sum().alias("returned_minor"),
            pl.col("occurred_at").min().alias("first_at"),
            pl.col("occurred_at").max().alias("last_at"),
        )
    )


def _signed(amount: pl.Expr) -> pl.Expr:
    """An amount as written on a sale, and taken back on a return."""
    return pl.when(pl.col("kind") == "return").then(-amount.abs()).otherwise(amount).fill_null(0)


def _has_coupon() -> pl.Expr:
    return (pl.col("coupon_codes") != "[]").fill_null(False)


def _json_list(column: str) -> pl.Expr:
    """A list of strings as canonical JSON text."""
    wrapped = pl.struct(column).struct.json_encode()
    text = wrapped.str.strip_prefix(f'{{"{column}":').str.strip_suffix("}")
    return pl.when(pl.col(column).is_not_null()).then(text)


def _numbers_tell_apart() -> pl.Expr:
    numbers = pl.col("lines").list.eval(pl.element().struct.field("line_no"))
    return numbers.list.drop_nulls().list.n_unique() == numbers.list.len()
