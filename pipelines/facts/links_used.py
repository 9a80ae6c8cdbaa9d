"""Identity links that the rows of a day may use: those of every visitor who was ever linked to a customer it names.

Which days are out of date is decided elsewhere; this says what to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.merges import families
from pipelines.facts.clicks import CLICKED
from pipelines.facts.merged import merges_used
from pipelines.landing.extracts import of_partitions
from pipelines.storage.hashing import subject_key


def links_used(tables: Sequence[str], tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the links, up to its end, of visitors whom it may have to look for.

    Visitors are looked for by the customers of transactions, of completed orders and of events that name no visitor. A
    day on which nobody is looked for who was ever linked is not in the result.

    Args:
        tables: whose rows are asked: ``customer_events``, ``transactions`` or both.
        tenant: whose.
    """
    merges = tenant.lake.read("customer_merges")
    named = _as_family(_named(tenant, tables), merges).unique()
    links = _as_family(_links(tenant), merges)
    asked = named.join(links.select("id", "visitor").unique(), on="id").select("date", "visitor")
    return _until(asked, links)


def links_of_clicks(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the links, up to its end, of the visitors of its clicks.

    Those are the visitors who are looked for by a customer, and those of whom the customer is looked for.
    """
    merges = tenant.lake.read("customer_merges")
    clicks = of_partitions(tenant, "customer_events", "clickers", _clickers).collect()
    links = _as_family(_links(tenant), merges)
    named = _as_family(clicks.filter(pl.col("visitor").is_null()).select("date", "id"), merges).unique()
    by_customer = named.join(links.select("id", "visitor").unique(), on="id").select("date", "visitor")
    unnamed = clicks.filter(pl.col("id").is_null()).select("date", "visitor")
    return _until(pl.concat([by_customer, unnamed]), links)


def merges_of_clicks(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the merges, up to its end, of customers of its clicks or of their visitors."""
    merges = tenant.lake.read("customer_merges")
    if merges.is_empty():
        return {}
    clicks = of_partitions(tenant, "customer_events", "clickers", _clickers).collect()
    links = _links(tenant).select("id", "visitor").unique()
    linked = clicks.filter(pl.col("id").is_null()).select("date", "visitor").join(links, on="visitor")
    named = pl.concat([clicks.select("date", "id"), linked.select("date", "id")]).drop_nulls().unique()
    return merges_used(named, merges, tenant.zone.key)


def _clickers(rows: pl.LazyFrame) -> pl.LazyFrame:
    clicked = rows.filter(pl.col("event_name") == CLICKED)
    keys = [subject_key("customer_id").alias("id"), subject_key("flockr_vid").alias("visitor")]
    return clicked.select("date", *keys).unique()


def _until(asked: pl.DataFrame, links: pl.DataFrame) -> dict[date, str]:
    """By day: a text for the links, up to its end, of the visitors that are ``asked`` for: date, visitor."""
    running = (
        links.group_by("visitor", "day")
        .agg(pl.col("weight").sum())
        .sort("day")
        .with_columns(pl.col("weight").cum_sum().over("visitor"))
    )
    used = (
        asked.unique()
        .sort("date")
        .join_asof(running, left_on="date", right_on="day", by="visitor", check_sortedness=False)
        .drop_nulls("weight")
        .group_by("date")
        .agg(pl.col("weight").sum())
    )
    return {day: str(total) for day, total in used.iter_rows()}


def _named(tenant: Tenant, tables: Sequence[str]) -> pl.DataFrame:
    parts = [of_partitions(tenant, table, "sought", _sought) for table in tables]
    return pl.concat(parts).collect()


def _sought(rows: pl.LazyFrame) -> pl.LazyFrame:
    if "event_name" in rows.collect_schema():
        rows = rows.filter(pl.col("flockr_vid").is_null() | (pl.col("event_name") == "Order Completed"))
    found = rows.filter(pl.col("customer_id").is_not_null())
    return found.select("date", subject_key("customer_id").alias("id")).unique()


def _links(tenant: Tenant) -> pl.DataFrame:
    """visitor, id (of the customer), day, weight of every link."""
    rows = tenant.lake.scan("identity_links").select("flockr_vid", "customer_id", "occurred_at").drop_nulls()
    said = pl.concat_str("flockr_vid", "customer_id", pl.col("occurred_at").to_physical(), separator="\x1f")
    return (
        rows.with_columns(said.alias("weight"), local_date(pl.col("occurred_at"), tenant.zone).alias("day"))
        .select(
            subject_key("flockr_vid").alias("visitor"),
            subject_key("customer_id").alias("id"),
            "day",
            subject_key("weight"),
        )
        .collect()
    )


def _as_family(rows: pl.DataFrame, merges: pl.DataFrame) -> pl.DataFrame:
    """The frame with one id for all customers that merges connect, at whatever time."""
    if merges.is_empty():
        return rows
    known = families(merges).select(subject_key("customer_id").alias("id"), subject_key("family").alias("family"))
    joined = rows.join(known, on="id", how="left")
    return joined.with_columns(pl.coalesce("family", "id").alias("id")).drop("family")
