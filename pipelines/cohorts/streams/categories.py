"""The category that a customer spends most on, day by day."""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.streams.customers import Customers
from pipelines.entities.merges import over_time


def top_categories(known: Customers) -> pl.DataFrame:
    """``subject``, ``day`` (ordinal of the tenant day from which on it holds), ``category``; sorted by subject and day.

    By what the lines of sales and returns in the tenant's currency come to until the end of the day before; of equal
    categories the first by name.
    """
    tenant = known.tenant
    days = [day for day in tenant.lake.days("order_lines") if day <= known.last.date]
    lines = tenant.lake.scan("order_lines", days).filter(
        pl.col("category").is_not_null()
        & (pl.col("currency") == tenant.config.currency)
        & (pl.col("occurred_at") < known.last.end)
    )
    rows = lines.select(
        pl.coalesce("sale_id", "order_id").alias("sale_id"),
        pl.col("occurred_at").dt.epoch("us").alias("since"),
        "category",
        "net_minor",
    ).collect()
    owners = known.orders.filter(pl.col("kind") == "sale").select(
        pl.col("order_id").alias("sale_id"), pl.col("customer_id").alias("subject")
    )
    owned = rows.join(owners, on="sale_id").filter(pl.col("subject").is_not_null())
    spans = over_time(owned.with_columns(pl.lit(None, dtype=pl.Int64).alias("until")), known.merges, "subject")
    begun = spans.select("subject", "category", pl.col("since").alias("at"), "net_minor")
    ended = spans.filter(pl.col("until").is_not_null()).select(
        "subject", "category", pl.col("until").alias("at"), -pl.col("net_minor")
    )
    instant = pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC").dt.convert_time_zone(tenant.zone.key)
    day = (instant.dt.date().to_physical().cast(pl.Int64) + _EPOCH + 1).alias("day")
    changes = (
        pl.concat([begun, ended])
        .with_columns(day)
        .group_by("subject", "category", "day")
        .agg(pl.col("net_minor").sum())
    )
    ordered = changes.sort("subject", "category", "day").with_columns(
        pl.col("net_minor").cum_sum().over("subject", "category").alias("spent")
    )
    moments = ordered.select("subject", "day").unique()
    each = moments.join(ordered.select("subject", "category").unique(), on="subject").sort("day")
    at = each.join_asof(
        ordered.select("subject", "category", "day", "spent").sort("day"),
        on="day",
        by=["subject", "category"],
        check_sortedness=False,
    ).drop_nulls("spent")
    best = at.sort("subject", "day", "spent", "category", descending=[False, False, True, False])
    return best.unique(["subject", "day"], keep="first", maintain_order=True).select("subject", "day", "category")


#: Ordinal of 1970-01-01.
_EPOCH = 719_163
