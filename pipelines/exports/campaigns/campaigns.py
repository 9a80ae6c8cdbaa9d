"""``campaigns.csv``: every campaign, as it was at the end of the day, with its results so far.

``target_size`` counts the selected customers outside the control group, the suppressed among them; ``control_size``
those inside. ``sent``, ``delivered``, ``failed`` and ``opened`` count events. ``clicked`` counts clicks on the
campaign's links.
"""

from __future__ import annotations

import polars as pl

from pipelines.exports.campaigns.inputs import CampaignInputs
from pipelines.exports.campaigns.state import CampaignState
from pipelines.exports.campaigns.sums import count, distinct, joined, money, zero, zero_money
from schemas.exports import CAMPAIGNS_CSV

_COUNTS = (
    "target_size",
    "control_size",
    "sent",
    "delivered",
    "failed",
    "opened",
    "clicked",
    "unique_clickers",
    "converted_customers",
    "conversions",
    "opt_outs",
    "clicks_unattributed",
)


def campaigns(inputs: CampaignInputs, state: CampaignState) -> pl.DataFrame:
    """Rows of the file, columns of ``CAMPAIGNS_CSV``; the audience's definition version is that of the day."""
    human = state.clicks.filter(~pl.col("is_bot"))
    unattributed = human.join(state.selections, on=["campaign_id", "customer_id"], how="anti")
    parts = [
        state.selections.group_by("campaign_id").agg(
            count(pl.col("variant") != "control").alias("target_size"),
            count(pl.col("variant") == "control").alias("control_size"),
        ),
        state.messages.group_by("campaign_id").agg(
            *[
                count(pl.col("event_name") == f"Message {stage.title()}").alias(stage)
                for stage in ("sent", "delivered", "failed", "opened")
            ]
        ),
        human.group_by("campaign_id").agg(count().alias("clicked"), distinct("person").alias("unique_clickers")),
        unattributed.group_by("campaign_id").agg(count().alias("clicks_unattributed")),
        state.conversions.group_by("campaign_id").agg(
            distinct("customer_id").alias("converted_customers"), count().alias("conversions"), *money()
        ),
        state.opt_outs.filter(pl.col("action") == "opt_out").group_by("campaign_id").agg(count().alias("opt_outs")),
    ]
    versions = (
        inputs.definitions.filter(pl.col("date") == state.day.date)
        .group_by(pl.col("cohort_id").alias("audience_cohort_id"))
        .agg(pl.col("definition_version").max().alias("audience_definition_version"))
    )
    return (
        joined(state.campaigns, parts, ["campaign_id"])
        .join(versions, on="audience_cohort_id", how="left")
        .with_columns(
            *zero(*_COUNTS),
            *zero_money("conversions"),
            pl.lit(state.day.date).alias("snapshot_date"),
            pl.coalesce("timezone", pl.lit(inputs.zone)).alias("timezone"),
            _status(state).alias("status"),
            pl.col("window_days").alias("attribution_window_days"),
            pl.col("created").alias("created_at"),
            pl.col("updated").alias("updated_at"),
        )
        .select(CAMPAIGNS_CSV.names)
        .sort(CAMPAIGNS_CSV.primary_key)
    )


def _status(state: CampaignState) -> pl.Expr:
    """The status given, else what the instants say at the end of the day."""
    end = state.day.end
    return pl.coalesce(
        "status",
        pl.when(pl.col("archived_at") < end)
        .then(pl.lit("archived"))
        .when((pl.col("ended_at") < end) | (pl.col("ends_at") < end))
        .then(pl.lit("ended"))
        .when((pl.col("launched_at") < end) | (pl.col("starts_at") < end))
        .then(pl.lit("live"))
        .when(pl.col("starts_at").is_not_null())
        .then(pl.lit("scheduled"))
        .otherwise(pl.lit("draft")),
    )
