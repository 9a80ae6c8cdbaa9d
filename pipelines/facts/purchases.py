"""Which products visitors bought: lines of their orders, or of the event while an order has no transaction.

Whose an order is, is decided in ``visitor_orders``.
"""

from __future__ import annotations

import polars as pl

from pipelines.facts.events import ONE, with_lines
from pipelines.facts.through_time import with_value

EVENT_COLUMNS = ("external_id", "event_name", "product_id", "products", "currency", "coupon")
_OF_A_LINE = ("product_id", "units", "net_minor", "currency", "discounted", "category")


def visitor_purchases(
    ordered: pl.DataFrame, lines: pl.DataFrame, events: pl.DataFrame, categories: pl.DataFrame
) -> pl.DataFrame:
    """One row per visitor, order and product, without ``date``; lines without a product are left out.

    Args:
        ordered: ``visitor_orders`` of the day, with ``event_id`` where no transaction has arrived.
        lines: ``order_lines`` of the day.
        events: ``EVENT_COLUMNS`` of the events that ``event_id`` names.
        categories: ``through_time.changes`` of ``category_path``.
    """
    sold = lines.filter(pl.col("kind") == "sale").rename({"quantity": "units"})
    arrived = ordered.drop("event_id").join(sold.select("order_id", *_OF_A_LINE), on="order_id")
    said = ordered.join(_said(events), on="event_id").drop("event_id")
    named = with_value(said, categories, key="product_id", instant="ordered_at", name="category")
    rows = pl.concat([arrived, named.select(arrived.columns)])
    one = pl.col("currency").n_unique() == 1
    return (
        rows.filter(pl.col("product_id").is_not_null())
        .group_by("flockr_vid", "order_id", "product_id", "ordered_at", "customer_id")
        .agg(
            pl.col("units").sum(),
            pl.when(one & (pl.col("net_minor").null_count() == 0)).then(pl.col("net_minor").sum()).alias("net_minor"),
            pl.when(one).then(pl.col("currency").min()).alias("currency"),
            pl.col("discounted").any(),
            pl.col("category").min(),
        )
    )


def _said(events: pl.DataFrame) -> pl.DataFrame:
    """Lines of events, ``_OF_A_LINE`` without the category, by ``event_id``."""
    units = pl.col("quantity").fill_null(ONE)
    return with_lines(events).select(
        pl.col("external_id").alias("event_id"),
        pl.when(pl.col("product_id") != "").then("product_id").alias("product_id"),
        units.alias("units"),
        _half_even(units * pl.col("unit_price_minor")).alias("net_minor"),
        pl.coalesce("_line_currency", "currency").alias("currency"),
        (pl.col("coupon") != "").fill_null(False).alias("discounted"),
    )


def _half_even(thousandths: pl.Expr) -> pl.Expr:
    """A product of thousandths and minor units, in minor units; a half goes to the even side."""
    whole, rest = thousandths // ONE, thousandths % ONE
    up = (rest > ONE // 2) | ((rest == ONE // 2) & (whole % 2 == 1))
    return whole + up.cast(pl.Int64)
