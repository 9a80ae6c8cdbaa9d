"""``campaign_customers.csv``: every customer selected for a campaign and how far the message got.

``status`` is the furthest of ``schemas.campaign_files.STAGES``. ``failed_at`` and ``failure_code`` are
those of the last failure; other ``_at`` columns are the first of their kind. Opens and clicks by bots are left out.
"""

from __future__ import annotations

import polars as pl

from pipelines.exports.campaigns.inputs import CampaignInputs
from pipelines.exports.campaigns.state import CampaignState
from pipelines.exports.campaigns.sums import count, joined, money, zero
from schemas.exports import CAMPAIGN_CUSTOMERS_CSV

_KEY = ["campaign_id", "customer_id"]


def campaign_customers(inputs: CampaignInputs, state: CampaignState) -> pl.DataFrame:
    """Rows of the file, columns of ``CAMPAIGN_CUSTOMERS_CSV``."""
    audience = state.campaigns.select("campaign_id", pl.col("audience_cohort_id").alias("cohort_id"))
    return (
        joined(state.selections, [_messages(state), _clicks(state), _conversions(state), _declined(state)], _KEY)
        .join(audience, on="campaign_id", how="left")
        .join(_entered(inputs, state), on=["cohort_id", "customer_id"], how="left")
        .with_columns(*zero("open_count", "click_count", "conversion_count"), _stage().alias("status"))
        .with_columns(
            pl.max_horizontal(
                "updated",
                "selected_at",
                "last_message_at",
                "last_clicked_at",
                "last_converted_at",
                "opted_out_at",
            ).alias("updated_at")
        )
        .select(CAMPAIGN_CUSTOMERS_CSV.names)
        .sort(CAMPAIGN_CUSTOMERS_CSV.primary_key)
    )


def _messages(state: CampaignState) -> pl.DataFrame:
    def at(stage: str) -> pl.Expr:
        return pl.col("occurred_at").filter(pl.col("event_name") == f"Message {stage}")

    failed = pl.col("event_name") == "Message Failed"
    return (
        state.messages.filter(pl.col("customer_id").is_not_null())
        .sort("occurred_at", "external_id")
        .group_by(_KEY)
        .agg(
            at("Sent").min().alias("sent_at"),
            at("Delivered").min().alias("delivered_at"),
            at("Failed").max().alias("failed_at"),
            pl.col("failure_code").filter(failed).last().alias("failure_code"),
            at("Opened").min().alias("first_opened_at"),
            count(pl.col("event_name") == "Message Opened").alias("open_count"),
            pl.col("occurred_at").max().alias("last_message_at"),
        )
    )


def _clicks(state: CampaignState) -> pl.DataFrame:
    return (
        state.clicks.filter(~pl.col("is_bot") & pl.col("customer_id").is_not_null())
        .group_by(_KEY)
        .agg(
            pl.col("occurred_at").min().alias("first_clicked_at"),
            pl.col("occurred_at").max().alias("last_clicked_at"),
            count().alias("click_count"),
        )
    )


def _conversions(state: CampaignState) -> pl.DataFrame:
    return (
        state.conversions.sort("occurred_at", "order_id")
        .group_by(_KEY)
        .agg(
            pl.col("occurred_at").first().alias("converted_at"),
            pl.col("order_id").first().alias("conversion_transaction_id"),
            count().alias("conversion_count"),
            pl.col("occurred_at").last().alias("last_converted_at"),
            *money(),
        )
    )


def _declined(state: CampaignState) -> pl.DataFrame:
    """First opt-out that a customer made because of the campaign; one of a shared contact is of all who share it."""
    made = state.opt_outs.filter((pl.col("action") == "opt_out") & pl.col("campaign_id").is_not_null())
    columns = [*_KEY, "occurred_at"]
    shared = made.drop("customer_id").join(state.sharers, left_on="external_id", right_on="opt_out")
    everybody = pl.concat([made.select(columns).drop_nulls("customer_id"), shared.select(columns)])
    return everybody.group_by(_KEY).agg(pl.col("occurred_at").min().alias("opted_out_at"))


def _entered(inputs: CampaignInputs, state: CampaignState) -> pl.DataFrame:
    """When the customer came into the campaign's audience cohort; null for those who are not in it any more."""
    return (
        inputs.membership.filter((pl.col("date") == state.day.date) & pl.col("is_member"))
        .group_by("cohort_id", pl.col("external_id").alias("customer_id"))
        .agg(pl.col("entered_at").max().alias("cohort_entered_at"))
    )


def _stage() -> pl.Expr:
    return (
        pl.when(pl.col("converted_at").is_not_null())
        .then(pl.lit("converted"))
        .when(pl.col("first_clicked_at").is_not_null())
        .then(pl.lit("clicked"))
        .when(pl.col("first_opened_at").is_not_null())
        .then(pl.lit("opened"))
        .when(pl.col("failed_at").is_not_null())
        .then(pl.lit("failed"))
        .when(pl.col("delivered_at").is_not_null())
        .then(pl.lit("delivered"))
        .when(pl.col("sent_at").is_not_null())
        .then(pl.lit("sent"))
        .when(pl.col("suppression_reason").is_not_null())
        .then(pl.lit("suppressed"))
        .otherwise(pl.lit("selected"))
    )
