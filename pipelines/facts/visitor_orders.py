"""Which orders end a visitor's cart, and when.

An order is a visitor's when one of the visitor's Order Completed events names it, or when the visitor is linked to its
customer at that instant. An Order Completed whose transaction has not arrived counts at its own instant until then; one
whose transaction is no order, such as a cancelled one, does not count.
"""

from __future__ import annotations

import polars as pl

from pipelines.facts.orders import is_order

COMPLETED_COLUMNS = ("external_id", "event_name", "occurred_at", "customer_id", "flockr_vid", "order_id")
LOOKED_UP = ("external_id", "type", "status", "occurred_at", "customer_id")


def reached(completed: pl.DataFrame, transactions: pl.DataFrame) -> pl.DataFrame:
    """Orders that Order Completed events reach: flockr_vid, order_id, ordered_at, customer_id, once per visitor.

    ``event_id`` is the event that stands for the order while its transaction has not arrived, null afterwards.

    Args:
        completed: ``COMPLETED_COLUMNS`` of all events that may name the same orders, with the visitor filled in.
        transactions: ``LOOKED_UP`` of every transaction that they name, on whatever day.
    """
    events = completed.filter(pl.col("flockr_vid").is_not_null()).with_columns(order_of_event().alias("order_id"))
    found = transactions.select(
        pl.col("external_id").alias("order_id"),
        is_order().alias("_is_order"),
        pl.col("occurred_at").alias("_ordered_at"),
        pl.col("customer_id").alias("_customer_id"),
    )
    joined = events.join(found, on="order_id", how="left").filter(pl.col("_is_order").fill_null(True))
    arrived = pl.col("_is_order").is_not_null()
    dated = joined.select(
        "flockr_vid",
        "order_id",
        pl.when(arrived).then("_ordered_at").otherwise("occurred_at").alias("ordered_at"),
        pl.when(arrived).then("_customer_id").otherwise("customer_id").alias("customer_id"),
        "external_id",
        pl.when(~arrived).then("external_id").alias("event_id"),
    )
    first = dated.sort("flockr_vid", "order_id", "ordered_at", "external_id")
    return first.unique(["flockr_vid", "order_id"], keep="first", maintain_order=True).drop("external_id")


def order_of_event() -> pl.Expr:
    """The order that an Order Completed names; one that names none is an order of its own that nothing can confirm."""
    return pl.coalesce("order_id", pl.lit("event:") + pl.col("external_id"))


def linked(orders: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Orders of the customers that visitors are linked to at that instant, with the columns of ``reached``.

    Args:
        orders: ``external_id``, ``occurred_at`` and ``customer_id`` of orders, merges applied.
        spans: of visitors, from ``identity.link_spans``.
    """
    pairs = orders.filter(pl.col("customer_id").is_not_null()).join(spans, left_on="customer_id", right_on="other")
    during = (pl.col("since") < pl.col("occurred_at")) & (pl.col("occurred_at") <= pl.col("until")).fill_null(True)
    return pairs.filter(during).select(
        pl.col("subject").alias("flockr_vid"),
        pl.col("external_id").alias("order_id"),
        pl.col("occurred_at").alias("ordered_at"),
        "customer_id",
        pl.lit(None, dtype=pl.String).alias("event_id"),
    )


def visitor_orders(by_event: pl.DataFrame, by_link: pl.DataFrame) -> pl.DataFrame:
    """Both kinds together, each order once per visitor, with the columns of ``reached``."""
    return pl.concat([by_event, by_link]).unique(["flockr_vid", "order_id"], keep="first", maintain_order=True)
