"""Sales and returns of a day, their lines, and what each customer bought and gave back.

An order is a sale that is paid, fulfilled, completed or partially returned. A return or void counts on its own day,
against the sale that it names, with negative amounts whatever sign its sender writes.
"""

from __future__ import annotations

import polars as pl

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
    "campaign_ids",
    "lines",
)
_LINE = pl.Struct(
    {
        "line_no": pl.Int64(),
        "product_id": pl.String(),
        "quantity": pl.Int64(),
        "line_net_minor": pl.Int64(),
        "line_discount_minor": pl.Int64(),
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


def order_lines(orders: pl.DataFrame) -> pl.DataFrame:
    """One row per line of ``sales_and_returns``, without ``date``.

    Lines keep their own numbers where these tell the lines of an order apart, otherwise they are numbered from 1.
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
    return opened.select(
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
    )


def customer_orders(orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """One row per order or return, without ``date``, from ``sales_and_returns`` and its ``order_lines``."""
    units = lines.group_by("order_id").agg(pl.col("quantity").sum().alias("units"))
    return orders.join(units, on="order_id", how="left").select(
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


def _numbers_tell_apart() -> pl.Expr:
    numbers = pl.col("lines").list.eval(pl.element().struct.field("line_no"))
    return numbers.list.drop_nulls().list.n_unique() == numbers.list.len()
