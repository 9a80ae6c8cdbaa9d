"""``opt_outs.csv``: every opt-out and opt-in up to the end of the day, with the current one marked.

They form one sequence per person (customer, else contact), channel, scope and, where the scope is a campaign,
campaign; in order of ``occurred_at``. An opt-out takes effect when it happens. ``contact_hash`` is given only where
no customer is known, or several share the contact.
"""

from __future__ import annotations

import polars as pl

from pipelines.exports.campaigns.inputs import CampaignInputs
from pipelines.exports.campaigns.state import CampaignState
from schemas.exports import OPT_OUTS_CSV

_STANDING = {"opt_out": "opted_out", "opt_in": "opted_in"}


def opt_outs(inputs: CampaignInputs, state: CampaignState) -> pl.DataFrame:
    """Rows of the file, columns of ``OPT_OUTS_CSV``; the campaign is the link's where it was not given."""
    sequence = ["_person", "channel", "scope", "_about"]
    person = pl.coalesce(
        pl.lit("c:") + pl.col("customer_id"),
        pl.lit("h:") + pl.col("contact_hash"),
        pl.lit("o:") + pl.col("external_id"),
    )
    return (
        state.opt_outs.with_columns(
            person.alias("_person"),
            pl.when(pl.col("scope") == "campaign").then(pl.col("campaign_id")).fill_null("").alias("_about"),
        )
        .sort([*sequence, "occurred_at", "external_id"])
        .with_columns(
            pl.col("action")
            .replace_strict(_STANDING)
            .shift(1)
            .over(sequence)
            .fill_null("unknown")
            .alias("previous_status"),
            (pl.col("external_id") == pl.col("external_id").last().over(sequence)).alias("is_current"),
            pl.col("external_id").alias("opt_out_id"),
            pl.col("occurred_at").alias("effective_at"),
            pl.when(pl.col("customer_id").is_null()).then("contact_hash").alias("contact_hash"),
        )
        .select(OPT_OUTS_CSV.names)
        .sort(OPT_OUTS_CSV.primary_key)
    )
