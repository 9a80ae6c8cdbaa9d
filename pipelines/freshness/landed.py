"""What has landed, by day, for the steps that read landing itself; history is never looked through twice.

Every text changes when a row that concerns the day arrives, and does not depend on the order of arrival.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.stock import entries
from pipelines.landing import store
from pipelines.landing.extracts import WEIGHT, moved_versions, of_batches
from pipelines.storage.hashing import logical_sha256, subject_key

Texts = dict[date, str]
_NO_OUTLETS = pl.DataFrame(schema={"date": pl.Date(), "outlet_id": pl.String()})


def rows_by_day(tenant: Tenant, entity: str) -> Texts:
    """By day: its landed rows, and every version of the ids that have one of several versions on it."""
    own = of_batches(tenant, entity, "days", _own).group_by("date").agg(pl.col("weight", "rows").sum())
    moved = moved_versions(tenant, entity)
    totals = moved.group_by("id_key").agg(pl.col("weight").sum().alias("versions"))
    places = moved.select("date", "id_key").unique().join(totals, on="id_key")
    shared = places.group_by("date").agg(pl.col("versions").sum())
    joined = own.collect().join(shared, on="date", how="left").fill_null(0).filter(pl.col("date").is_not_null())
    return {row["date"]: f"{row['weight']}:{row['rows']}:{row['versions']}" for row in joined.iter_rows(named=True)}


def _own(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("date").agg(WEIGHT.sum(), pl.len().cast(pl.Int64).alias("rows"))


def resolutions(tenant: Tenant) -> str:
    """A text that changes with the events that name a visitor and its customer: identity links are made from them."""
    naming = of_batches(tenant, "customer_events", "resolutions", _resolutions).collect()
    again = moved_versions(tenant, "customer_events").join(naming, on="id_key", how="semi")
    return f"{naming['weight'].sum()}:{naming.height}:{again['weight'].sum()}:{again.height}"


def _resolutions(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("resolution_event").is_not_null()).select("id_key", WEIGHT)


def stock_in_products(tenant: Tenant) -> Texts:
    """By day: what product records say of stock that was measured on it."""
    carriers = of_batches(tenant, "products", "stock", _carriers).unique().collect()
    measured = entries(carriers).drop("attributes")
    said = measured.select(
        local_date(pl.col("measured_at"), tenant.zone).alias("date"),
        pl.concat_str(pl.all().to_physical().cast(pl.String).fill_null(""), separator="\x1f").alias("said"),
    )
    weighed = said.with_columns(subject_key("said")).group_by("date").agg(pl.col("said").sum())
    return {day: str(total) for day, total in weighed.iter_rows() if day is not None}


def _carriers(rows: pl.LazyFrame) -> pl.LazyFrame:
    carrying = pl.col("available_quantity").is_not_null() & (pl.col("op") != "delete")
    return rows.filter(carrying).select(pl.col("external_id").alias("product_id"), "order_at", "available_quantity")


def outlets_named(tenant: Tenant) -> Texts:
    """By day: the time zones, through time, of the outlets that transactions of the day name."""
    zones = tenant.lake.scan("outlets_history").select("external_id", "effective_from", "timezone", "is_deleted")
    told = (
        zones.sort("external_id", "effective_from")
        .collect()
        .group_by("external_id", maintain_order=True)
        .agg(pl.concat_str(pl.all().cast(pl.String).fill_null(""), separator="\x1f").alias("said"))
        .with_columns(pl.col("said").list.join("\x1e"))
    )
    own = of_batches(tenant, "transactions", "outlets", _outlets).unique().collect()
    named = pl.concat([own, _of_other_versions(tenant)]).unique()
    known = named.join(told, left_on="outlet_id", right_on="external_id").sort("date", "outlet_id")
    parts = known.partition_by("date", as_dict=True)
    return {day: logical_sha256(part) for (day,), part in parts.items() if day is not None}


def _of_other_versions(tenant: Tenant) -> pl.DataFrame:
    """``date`` and ``outlet_id`` where another version of a transaction names the outlet: a patch may leave it out."""
    moved = moved_versions(tenant, "transactions").select("id_key", "date").unique()
    rows = store.scan(tenant, "transactions", moved["date"].drop_nulls().unique().sort().to_list() or None)
    named = rows.filter(pl.col("outlet_id").is_not_null()).select("id_key", "outlet_id")
    found = named.join(moved.select("id_key").unique().lazy(), on="id_key", how="semi").unique()
    return found.join(moved.lazy(), on="id_key").select("date", "outlet_id").collect() if moved.height else _NO_OUTLETS


def _outlets(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("outlet_id").is_not_null()).select("date", "outlet_id").unique()
