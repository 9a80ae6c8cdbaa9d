"""Clicks on links by people: whose they are and for which campaign. How campaigns count them is up to the exports."""

from __future__ import annotations

import polars as pl

from pipelines.entities.merges import holder_at
from pipelines.facts.events import is_no_bot
from pipelines.facts.through_time import with_value
from schemas.registry import LAKE

CLICKED = "Link Clicked"
COLUMNS = (
    "external_id",
    "event_name",
    "occurred_at",
    "customer_id",
    "flockr_vid",
    "campaign_id",
    "link_id",
    "agent_class",
)


def link_clicks(
    events: pl.DataFrame, spans: pl.DataFrame, merges: pl.DataFrame, campaigns: pl.DataFrame
) -> pl.DataFrame:
    """Clicks without bots, without ``date``; in no order.

    Args:
        events: ``COLUMNS``, with the visitor filled in; events of other names are left out.
        spans: of visitors, from ``identity.link_spans``.
        merges: ``customer_merges``.
        campaigns: ``through_time.changes`` of the ``campaign_id`` of links.
    """
    clicked = events.filter((pl.col("event_name") == CLICKED) & is_no_bot())
    known = _with_customer(holder_at(clicked, merges, instant="occurred_at"), spans)
    linked = with_value(known, campaigns, key="link_id", instant="occurred_at", name="_of_link")
    named = linked.with_columns(
        pl.coalesce("campaign_id", "_of_link").alias("campaign_id"), pl.col("external_id").alias("event_id")
    )
    return named.select(name for name in LAKE["link_clicks"].names if name != "date")


def _with_customer(clicks: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Clicks that name no customer get the one that their visitor was linked to before."""
    unknown = pl.col("customer_id").is_null()
    ends = spans.select("since", "until", _visitor="subject", _customer="other").sort("since")
    found = (
        clicks.filter(unknown)
        .sort("occurred_at")
        .join_asof(
            ends,
            left_on="occurred_at",
            right_on="since",
            by_left="flockr_vid",
            by_right="_visitor",
            allow_exact_matches=False,
            check_sortedness=False,
            coalesce=False,
        )
    )
    still = (pl.col("occurred_at") <= pl.col("until")).fill_null(True)
    linked = found.with_columns(pl.when(still).then("_customer").alias("customer_id"))
    return pl.concat([clicks.filter(~unknown), linked.select(clicks.columns)])
