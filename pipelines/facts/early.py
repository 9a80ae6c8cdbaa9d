"""Which versions of products and links the rows of a day use, named before their first version or after it.

Which days are out of date is decided elsewhere; this says what to compare. A reference that nothing resolves is not
looked at here.
"""

from __future__ import annotations

from datetime import date
from functools import partial

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.facts.events import STEPS_OF_A_CART, with_lines
from pipelines.landing.extracts import of_partitions
from pipelines.storage.hashing import subject_key

Weights = dict[date, str]


def prices_used(tenant: Tenant) -> Weights:
    """By day: a text that changes with what holds, at some time of the day, for a product that a cart of the day names.

    Versions up to the end of the day count, and the first one of a product that has none by then.
    """
    named = of_partitions(tenant, "customer_events", "in_carts", _in_carts).collect()
    versions = _versions(tenant, "products_history")
    running = (
        versions.group_by("id", "day")
        .agg(pl.col("weight").sum())
        .sort("day")
        .with_columns(pl.col("weight").cum_sum().over("id"))
    )
    firsts = _firsts(versions).select("id", pl.col("weight").alias("first"))
    used = (
        named.join(firsts, on="id")
        .sort("date")
        .join_asof(running, left_on="date", right_on="day", by="id", check_sortedness=False)
        .select("date", pl.concat_str("id", pl.coalesce("weight", "first"), separator="\x1f").alias("said"))
        .with_columns(subject_key("said"))
    )
    return _summed(used.rename({"said": "weight"}))


def publications(tenant: Tenant) -> Weights:
    """By day: a text that changes with the first publication of a product that counts from the day on.

    It counts from the day on which the product is first viewed, sold or measured, or is published where that is later:
    who was not there does not learn of it, and who is there has learned of it.
    """
    said = pl.concat_str("external_id", pl.col("first_published_at").to_physical(), separator="\x1f").alias("weight")
    told = tenant.lake.scan("products").filter(pl.col("first_published_at").is_not_null())
    published = told.select(
        subject_key("external_id").alias("id"),
        local_date(pl.col("first_published_at"), tenant.zone).alias("day"),
        said,
    )
    known = published.with_columns(subject_key("weight")).join(first_named(tenant), on="id")
    return _summed(known.select(pl.max_horizontal("date", "day").alias("date"), "weight").collect())


def first_named(tenant: Tenant) -> pl.LazyFrame:
    """``id`` of products and ``date``: the first day on which each table names them, when signals learn of them."""
    tables = {
        "product_hourly": _WANTED,
        "product_daily": _SOLD,
        "stock_levels": pl.lit(value=True),
        "cart_activity": pl.lit(value=True),
        "visitor_purchases": pl.lit(value=True),
    }
    first_days = [
        of_partitions(tenant, table, "products_named", partial(_named, rows)).group_by("id").agg(pl.col("date").min())
        for table, rows in tables.items()
    ]
    return pl.concat(first_days).unique()


_WANTED = pl.any_horizontal(pl.col("views", "adds", "purchases") != 0)
_SOLD = pl.any_horizontal(pl.col("views", "adds", "purchases", "units_sold", "units_returned") != 0)


def _named(wanted: pl.Expr, rows: pl.LazyFrame) -> pl.LazyFrame:
    found = rows.filter(wanted & pl.col("product_id").is_not_null())
    return found.select("date", subject_key("product_id").alias("id")).unique()


def early_clicks(tenant: Tenant) -> Weights:
    """By day: a text that changes with the first version of a link that was clicked on the day before it."""
    named = of_partitions(tenant, "customer_events", "clicked", _clicked).collect()
    firsts = _firsts(_versions(tenant, "links_history"))
    return _summed(named.join(firsts, on="id").filter(pl.col("first_at") > pl.col("occurred_at")))


def _in_carts(rows: pl.LazyFrame) -> pl.LazyFrame:
    def opened(frame: pl.DataFrame) -> pl.DataFrame:
        return with_lines(frame).select("date", "product_id").drop_nulls().unique()

    named = rows.filter(pl.col("event_name").is_in(list(STEPS_OF_A_CART))).select("date", "product_id", "products")
    schema = pl.Schema({"date": pl.Date(), "product_id": pl.String()})
    return named.map_batches(opened, schema=schema).select("date", subject_key("product_id").alias("id")).unique()


def _clicked(rows: pl.LazyFrame) -> pl.LazyFrame:
    clicks = rows.filter(pl.col("event_name").is_in(["Link Clicked"]) & pl.col("link_id").is_not_null())
    return clicks.group_by("date", subject_key("link_id").alias("id")).agg(pl.col("occurred_at").min())


def _versions(tenant: Tenant, history: str) -> pl.DataFrame:
    """id, day, at, weight of every version: a number that changes with what it says and since when."""
    said = pl.concat_str("external_id", pl.col("effective_from").to_physical(), "version_hash", separator="\x1f")
    rows = tenant.lake.scan(history).select("external_id", "effective_from", said.alias("weight")).collect()
    return rows.select(
        subject_key("external_id").alias("id"),
        local_date(pl.col("effective_from"), tenant.zone).alias("day"),
        pl.col("effective_from").alias("at"),
        subject_key("weight"),
    )


def _firsts(versions: pl.DataFrame) -> pl.DataFrame:
    """id, first_at, weight: what is said at the first instant."""
    first = versions.filter(pl.col("at") == pl.col("at").min().over("id"))
    return first.group_by("id").agg(pl.col("at").min().alias("first_at"), pl.col("weight").sum())


def _summed(rows: pl.DataFrame) -> Weights:
    totals = rows.group_by("date").agg(pl.col("weight").sum())
    return {day: str(total) for day, total in totals.iter_rows()}
