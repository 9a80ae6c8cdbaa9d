"""Identity links that events make: an event with a resolution names a visitor and the customer it turned out to be."""

from __future__ import annotations

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.dated import current
from pipelines.entities.natural_key import natural_id
from schemas.entities import ENTITIES

_COLUMNS = ("flockr_vid", "customer_id", "resolution_event", "occurred_at")


def links_in_events(tenant: Tenant) -> pl.DataFrame:
    """Versions of ``identity_links`` made from the latest events of all days, with the columns that ``fold`` needs."""
    events = current(tenant, "customer_events", pl.col("resolution_event").is_not_null(), _COLUMNS)
    entity = ENTITIES["identity_links"]
    return (
        events.drop_nulls()
        .unique()
        .select(
            pl.col("occurred_at").alias("order_at"),
            pl.lit("upsert").alias("op"),
            pl.lit(None, dtype=pl.String).alias("patch_fields"),
            natural_id(entity).alias("external_id"),
            pl.lit(None, dtype=pl.String).alias("attributes"),
            *_COLUMNS,
        )
        .select("order_at", "op", "patch_fields", *(column.name for column in entity.stored))
    )


def latest_links(links: pl.DataFrame) -> pl.DataFrame:
    """Spans in which a visitor is linked to a customer: flockr_vid, customer_id, linked_at, until.

    A visitor is linked at an instant to the customer that its newest link strictly before the instant names, so a span
    holds for ``linked_at < instant <= until``, without end where ``until`` is null. Of two links of a visitor at one
    instant the smaller customer id counts.
    """
    ordered = (
        links.select("flockr_vid", "customer_id", pl.col("occurred_at").alias("linked_at"))
        .drop_nulls()
        .sort("flockr_vid", "linked_at", "customer_id")
        .unique(["flockr_vid", "linked_at"], keep="first", maintain_order=True)
    )
    same = pl.col("flockr_vid").eq_missing(pl.col("flockr_vid").shift(-1))
    return ordered.with_columns(pl.when(same).then(pl.col("linked_at").shift(-1)).alias("until"))


def with_visitor(events: pl.DataFrame, links: pl.DataFrame, *, instant: str = "occurred_at") -> pl.DataFrame:
    """Fill ``flockr_vid`` from the newest link of ``customer_id`` strictly before the instant; null without one.

    Of two links of a customer at one instant the smaller visitor id counts. Rows keep their order.
    """
    known = (
        links.select(pl.col("customer_id").alias("_customer"), pl.col("occurred_at").alias("_linked"), "flockr_vid")
        .drop_nulls()
        .sort("_linked", "_customer", "flockr_vid")
        .unique(["_customer", "_linked"], keep="first", maintain_order=True)
        .rename({"flockr_vid": "_linked_vid"})
    )
    need = pl.col("flockr_vid").is_null() & pl.col("customer_id").is_not_null()
    placed = events.with_row_index("_position")
    asked = placed.filter(need).select("_position", "customer_id", instant).sort(instant)
    if asked.is_empty():
        return events
    found = asked.join_asof(
        known,
        left_on=instant,
        right_on="_linked",
        by_left="customer_id",
        by_right="_customer",
        allow_exact_matches=False,
        check_sortedness=False,
    ).select("_position", "_linked_vid")
    joined = placed.join(found, on="_position", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("flockr_vid", "_linked_vid").alias("flockr_vid")).drop(
        "_position", "_linked_vid"
    )
