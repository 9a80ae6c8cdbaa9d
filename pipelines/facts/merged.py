"""Rows whose customer, or a customer linked to the same visitors, was merged: what such a day depends on beside them.

Which days are out of date is decided elsewhere; this says what to compare.
"""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.merges import families
from pipelines.storage.hashing import subject_key


def merged_customers(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the merges, up to its end, of the customers that its rows name.

    A day on which nobody who was ever merged is named is not in the result.
    """
    merges = tenant.lake.read("customer_merges")
    if merges.is_empty():
        return {}
    named = _named(tenant, families(merges)).select("date", subject_key("customer_id").alias("id"))
    return merges_used(named, merges, tenant.zone.key)


def merges_used(named: pl.DataFrame, merges: pl.DataFrame, zone: str) -> dict[date, str]:
    """By day: a text that changes with the merges, up to its end, of the customers that are ``named``.

    Args:
        named: date, id (key of a customer).
        merges: ``customer_merges``.
        zone: IANA zone of the tenant.
    """
    related = families(merges).select("customer_id", "family", subject_key("customer_id").alias("id"))
    asked = named.join(related, on="id").select("date", "family").unique()
    said = pl.concat_str("external_id", "customer_id", pl.col("effective_from").to_physical(), separator="\x1f")
    changes = merges.select(
        "external_id", local_date(pl.col("effective_from"), ZoneInfo(zone)).alias("since"), said.alias("said")
    ).with_columns(subject_key("said").alias("weight"))
    of_family = changes.join(related, left_on="external_id", right_on="customer_id").select("family", "since", "weight")
    seen = asked.join(of_family, on="family").filter(pl.col("since") <= pl.col("date"))
    return {day: str(total) for day, total in seen.group_by("date").agg(pl.col("weight").sum()).iter_rows()}


def _named(tenant: Tenant, related: pl.DataFrame) -> pl.DataFrame:
    """Days and customers of the rows that a merge may change: sales, and events whose visitor may be sought."""
    sought = pl.col("flockr_vid").is_null() | (pl.col("event_name") == "Order Completed")
    rows = [tenant.lake.scan("transactions"), tenant.lake.scan("customer_events").filter(sought)]
    pairs = pl.concat([part.select("date", "customer_id") for part in rows])
    return pairs.join(related.lazy(), on="customer_id", how="semi").unique().collect(engine="streaming")
