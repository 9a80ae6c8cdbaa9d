"""Demand for products by hour and by day: views by people, adds to bags, sale lines and units."""

from __future__ import annotations

import polars as pl

from pipelines.facts.events import is_no_bot, with_lines
from schemas.registry import LAKE

EVENT_COLUMNS = ("event_name", "occurred_at", "customer_id", "flockr_vid", "agent_class", "product_id", "products")
COUNTED = ("Product Viewed", "Product Added")
LAST_QUARTER = 45
_ACTS = {"views": "view", "adds": "add", "purchases": "purchase"}


def demand(events: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Single acts of demand: product_id, occurred_at, ``act`` (view, add or purchase) and flockr_vid.

    Args:
        events: ``EVENT_COLUMNS`` of views and adds, with the visitor filled in. Views by bots are left out.
        lines: ``order_lines``.
    """
    opened = with_lines(events.filter((pl.col("event_name") == "Product Added") | is_no_bot()))
    columns = ["product_id", "occurred_at", "act", "flockr_vid"]
    act = pl.when(pl.col("event_name") == "Product Viewed").then(pl.lit("view")).otherwise(pl.lit("add"))
    bought = lines.filter(pl.col("kind") == "sale").with_columns(
        pl.lit("purchase").alias("act"), pl.lit(None, dtype=pl.String).alias("flockr_vid")
    )
    together = pl.concat([opened.with_columns(act.alias("act")).select(columns), bought.select(columns)])
    return together.filter(pl.col("product_id").is_not_null())


def product_hourly(acts: pl.DataFrame) -> pl.DataFrame:
    """Counts per product and UTC hour from ``demand``, without ``date``."""
    late = pl.col("occurred_at").dt.minute() >= LAST_QUARTER
    counts = []
    for name, act in _ACTS.items():
        counts.append(_count(pl.col("act") == act, name))
        counts.append(_count((pl.col("act") == act) & late, f"{name}_last_15m"))
    hour = pl.col("occurred_at").dt.truncate("1h").alias("hour")
    return acts.group_by("product_id", hour).agg(counts)


def product_daily(acts: pl.DataFrame, lines: pl.DataFrame, stock: pl.DataFrame) -> pl.DataFrame:
    """Counts, sales and stock per product, without ``date``; one whose stock is known has a row on quiet days too.

    Args:
        acts: ``demand``.
        lines: ``order_lines``.
        stock: ``stock.on_day``.
    """
    counts = acts.group_by("product_id").agg(_count(pl.col("act") == act, name) for name, act in _ACTS.items())
    seen = acts.filter((pl.col("act") == "view") & pl.col("flockr_vid").is_not_null())
    viewers = (
        seen.select("product_id", "flockr_vid")
        .unique()
        .group_by("product_id")
        .agg(pl.len().cast(pl.Int64).alias("viewers"))
    )
    sold = _sold(lines.filter(pl.col("product_id").is_not_null()))
    ids = pl.concat([frame.select("product_id") for frame in (counts, sold, stock)]).unique()
    joined = ids
    for part in (counts, viewers, sold, stock):
        joined = joined.join(part, on="product_id", how="left")
    whole = [c.name for c in LAKE["product_daily"] if c.kind == "int64" and c.required]
    return joined.with_columns(pl.col(whole).fill_null(0)).select(n for n in LAKE["product_daily"].names if n != "date")


def _sold(lines: pl.DataFrame) -> pl.DataFrame:
    sale = pl.col("kind") == "sale"
    one = pl.col("currency").filter(sale).n_unique() == 1
    return lines.group_by("product_id").agg(
        pl.col("quantity").filter(sale).sum().alias("units_sold"),
        -pl.col("quantity").filter(~sale).sum().alias("units_returned"),
        pl.when(one).then(pl.col("net_minor").filter(sale).sum()).otherwise(0).alias("revenue_minor"),
        pl.when(one).then(pl.col("currency").filter(sale).min()).alias("currency"),
    )


def _count(rows: pl.Expr, name: str) -> pl.Expr:
    return rows.cast(pl.Int64).sum().alias(name)
