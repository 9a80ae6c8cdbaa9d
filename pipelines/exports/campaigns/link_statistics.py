"""``link_statistics.csv``: every link on every day, clicked or not.

Columns count the day, ``stat_date``; those named ``_cumulative`` everything to its end. Bots are whom the sender
calls so; they are counted in ``bot_clicks`` and nowhere else. Conversions are orders of the day whose latest click
was on the link.
"""

from __future__ import annotations

import polars as pl

from pipelines.exports.campaigns.inputs import CampaignInputs
from pipelines.exports.campaigns.state import CampaignState
from pipelines.exports.campaigns.sums import count, distinct, joined, money, zero, zero_money
from schemas.exports import LINK_STATISTICS_CSV

#: Query parameters that say where a click came from, and those that may say who clicked.
_TRACKING = r"(?i)([?&])(?:utm_[^=&#]*|gclid|dclid|fbclid|msclkid|yclid|mc_cid|mc_eid|_hsenc|_hsmi|igshid)(?:=[^&#]*)?"
_COUNTS = (
    "clicks",
    "unique_clickers",
    "bot_clicks",
    "clicks_cumulative",
    "unique_clickers_cumulative",
    "device_mobile",
    "device_desktop",
    "device_other",
    "conversions",
)


def link_statistics(inputs: CampaignInputs, state: CampaignState) -> pl.DataFrame:
    """Rows of the file, columns of ``LINK_STATISTICS_CSV``."""
    human = state.clicks.filter(~pl.col("is_bot"))
    today = pl.col("occurred_at") >= state.day.start
    device = pl.col("device_type")
    parts = [
        human.filter(today)
        .group_by("link_id")
        .agg(
            count().alias("clicks"),
            distinct("person").alias("unique_clickers"),
            pl.col("occurred_at").min().alias("first_click_at"),
            pl.col("occurred_at").max().alias("last_click_at"),
            count(device.eq_missing("mobile")).alias("device_mobile"),
            count(device.eq_missing("desktop")).alias("device_desktop"),
            count(~device.is_in(["mobile", "desktop"]).fill_null(False)).alias("device_other"),
        ),
        state.clicks.filter(today & pl.col("is_bot")).group_by("link_id").agg(count().alias("bot_clicks")),
        human.group_by("link_id").agg(
            count().alias("clicks_cumulative"), distinct("person").alias("unique_clickers_cumulative")
        ),
        state.clicks.group_by("link_id").agg(pl.col("occurred_at").max().alias("_last_at")),
        state.conversions.filter(today).group_by("link_id").agg(count().alias("conversions"), *money()),
    ]
    channels = state.campaigns.select("campaign_id", pl.col("channel").alias("_campaign_channel"))
    return (
        joined(state.links, parts, ["link_id"])
        .join(channels, on="campaign_id", how="left")
        .with_columns(
            *zero(*_COUNTS),
            *zero_money("conversions"),
            pl.lit(state.day.date).alias("stat_date"),
            pl.col("message_id_ref").alias("message_id"),
            untracked(pl.col("destination_url")).alias("destination_url"),
            pl.coalesce("channel", "_campaign_channel", pl.lit("multi")).alias("channel"),
            pl.max_horizontal("updated", "_last_at").alias("updated_at"),
        )
        .select(LINK_STATISTICS_CSV.names)
        .sort(LINK_STATISTICS_CSV.primary_key)
    )


def untracked(url: pl.Expr) -> pl.Expr:
    """A URL without its tracking parameters; what remains is a well-formed URL."""
    emptied = url.str.replace_all(_TRACKING, "${1}").str.replace_all(r"&{2,}", "&").str.replace_all(r"\?&+", "?")
    return emptied.str.replace_all(r"[?&]+(#|$)", "${1}")
