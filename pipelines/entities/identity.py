"""Identity: the links that events make, and which visitor and customer are linked at an instant.

An event with a resolution names a visitor and the customer that it turned out to be. Merges are in ``merges``.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.dated import current
from pipelines.entities.merges import holder_at, over_time
from pipelines.entities.natural_key import natural_id
from schemas.entities import ENTITIES

Kind = Literal["visitor", "customer"]
_COLUMNS = ("flockr_vid", "customer_id", "resolution_event", "occurred_at")


def links_in_events(tenant: Tenant) -> pl.DataFrame:
    """Versions of ``identity_links`` made from the latest events of all days, with the columns that ``fold`` needs."""
    events = current(tenant, "customer_events", pl.col("resolution_event").is_not_null(), _COLUMNS, keep="resolved")
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


def link_spans(links: pl.DataFrame, merges: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """When a visitor is linked to which customer, or a customer to which visitor.

    A subject is linked at an instant to the other one that its newest link strictly before the instant names; of two
    links at one instant the smaller other id counts. A link is of the customer that its id stands for at the instant,
    so that what was merged has the visitors of both.

    Args:
        links: ``flockr_vid``, ``customer_id`` and ``linked_at``, either Datetime(us, UTC) or Int64 microseconds.
        merges: ``customer_merges``.
        kind: of the subject.

    Returns:
        subject, other, since, until, sorted by subject and since; the link holds in ``(since, until]``, without end
        where ``until`` is null.
    """
    known = links.drop_nulls()
    if kind == "visitor":
        found = over_time(_newest(known, "flockr_vid", "customer_id"), merges, "other")
        return found.select("subject", "other", "since", "until").sort("subject", "since")
    by_customer = _newest(known, "customer_id", "flockr_vid")
    touched = pl.concat([merges["external_id"], merges["customer_id"]]).unique()
    still = by_customer.filter(~pl.col("subject").is_in(touched.implode()))
    moved = known.filter(pl.col("customer_id").is_in(touched.implode()))
    return pl.concat([still, _newest_over_time(moved, merges)]).sort("subject", "since")


def _newest(links: pl.DataFrame, own: str, other: str) -> pl.DataFrame:
    """Spans of the newest link of each subject: subject, other, since, until."""
    rows = links.select(pl.col(own).alias("subject"), pl.col(other).alias("other"), pl.col("linked_at").alias("since"))
    first = rows.sort("subject", "since", "other").unique(["subject", "since"], keep="first", maintain_order=True)
    same = (pl.col("subject") == pl.col("subject").shift(-1)).fill_null(False)
    return first.with_columns(pl.when(same).then(pl.col("since").shift(-1)).alias("until"))


def _newest_over_time(links: pl.DataFrame, merges: pl.DataFrame) -> pl.DataFrame:
    """``_newest`` of customers of whom links come and go: each stretch between two changes looks for its own link."""
    endless = pl.lit(None, dtype=links.schema["linked_at"]).alias("until")
    held = over_time(links.with_columns(pl.col("linked_at").alias("since"), endless), merges)
    own = held.select("linked_at", "since", "until", subject="customer_id", other="flockr_vid")
    edges = pl.concat([own.select("subject", at="since"), own.select("subject", at="until").drop_nulls()])
    ordered = edges.unique().sort("subject", "at")
    same = (pl.col("subject") == pl.col("subject").shift(-1)).fill_null(False)
    stretches = ordered.with_columns(pl.when(same).then(pl.col("at").shift(-1)).alias("next"))
    found = stretches.join(own, on="subject").filter(
        (pl.col("since") <= pl.col("at")) & (pl.col("until") > pl.col("at")).fill_null(True)
    )
    newest = found.sort("subject", "at", "linked_at", "other", descending=[False, False, True, False])
    return newest.unique(["subject", "at"], keep="first", maintain_order=True).select(
        "subject", "other", pl.col("at").alias("since"), pl.col("next").alias("until")
    )


def with_visitor(
    events: pl.DataFrame, spans: pl.DataFrame, merges: pl.DataFrame, instant: str = "occurred_at"
) -> pl.DataFrame:
    """Fill ``flockr_vid`` where it is null by the visitor that the event's customer is linked to at the instant.

    Args:
        events: ``flockr_vid``, ``customer_id`` and the instant; rows keep their order.
        spans: of customers, from ``link_spans``.
        merges: ``customer_merges``.
        instant: column with the instant to look at.
    """
    need = pl.col("flockr_vid").is_null() & pl.col("customer_id").is_not_null()
    placed = events.with_row_index("_position")
    asked = placed.filter(need).select("_position", "customer_id", instant)
    if asked.is_empty():
        return events
    known = spans.select("since", "until", _customer="subject", _linked_vid="other").sort("since")
    found = (
        holder_at(asked, merges, instant=instant)
        .sort(instant)
        .join_asof(
            known,
            left_on=instant,
            right_on="since",
            by_left="customer_id",
            by_right="_customer",
            allow_exact_matches=False,
            check_sortedness=False,
            coalesce=False,
        )
    )
    linked = found.filter((pl.col(instant) <= pl.col("until")).fill_null(True)).select("_position", "_linked_vid")
    joined = placed.join(linked, on="_position", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("flockr_vid", "_linked_vid").alias("flockr_vid")).drop(
        "_position", "_linked_vid"
    )
