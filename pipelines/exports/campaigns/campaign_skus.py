"""``campaign_skus.csv``: every product of a campaign and all its sales on the days when it took part.

A product takes part from the later of the campaign's start (``launched_at``, else ``starts_at``) and ``valid_from``
to the earliest of ``ended_at``, ``ends_at``, ``valid_to`` and the end of the day, in whole tenant days.
``baseline_units`` gives each of these days the mean of the same weekday in the four weeks before the first; null
unless all 28 days are in the lake. Sales count at every place, whatever ``group_id`` says, and whoever bought.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import local_date
from pipelines.exports.campaigns.inputs import BASELINE_WEEKS, CampaignInputs, baseline_days
from pipelines.exports.campaigns.state import CampaignState
from pipelines.exports.campaigns.sums import count, distinct, joined, money, zero, zero_money
from schemas.exports import CAMPAIGN_SKUS_CSV, OFFERS, ROLES

_KEY = list(CAMPAIGN_SKUS_CSV.primary_key)

_FIELDS = {
    "product_id": pl.String,
    "role": pl.String,
    "offer_type": pl.String,
    "offer_value": pl.String,
    "max_quantity": pl.Int64,
    "budget_minor": pl.Int64,
    "group_id": pl.String,
    "valid_from": pl.String,
    "valid_to": pl.String,
}


def campaign_skus(inputs: CampaignInputs, state: CampaignState) -> pl.DataFrame:
    """Rows of the file, columns of ``CAMPAIGN_SKUS_CSV``."""
    skus = products_of(state.campaigns, state, ZoneInfo(inputs.zone))
    parts = [_sales(inputs, skus), _baseline(inputs, skus)]
    signals = inputs.signals.filter(pl.col("date") == state.day.date)
    runway = signals.filter(pl.col("signal_id") == "stock_runway_days").select(
        pl.col("subject").alias("product_id"), pl.col("value").alias("stock_runway_days")
    )
    scarcity = signals.filter(pl.col("signal_id") == "scarcity_state").select(
        pl.col("subject").alias("product_id"), pl.col("state").alias("scarcity_state")
    )
    return (
        joined(skus, parts, _KEY)
        .join(runway, on="product_id", how="left")
        .join(scarcity, on="product_id", how="left")
        .with_columns(*zero("units_sold", "orders", "buyers", "returned_units"), *zero_money("orders"))
        .with_columns(
            (pl.col("units_sold") - pl.col("baseline_units")).alias("uplift_units"),
            pl.max_horizontal("updated", "last_line_at").alias("updated_at"),
        )
        .select(CAMPAIGN_SKUS_CSV.names)
        .sort(_KEY)
    )


def products_of(campaigns: pl.DataFrame, state: CampaignState, zone: ZoneInfo) -> pl.DataFrame:
    """One row a campaign, product and role, with the ``first_day`` and ``last_day`` it took part on so far, or null.

    A product without a role is promoted. Of two entries with one role, the first in order of text counts.
    """
    end = state.day.end
    listed = (
        campaigns.select(
            "campaign_id",
            "updated",
            pl.coalesce("launched_at", "starts_at").alias("opens"),
            pl.min_horizontal("ended_at", "ends_at").alias("closes"),
            pl.col("products").str.json_decode(pl.List(pl.Struct(_FIELDS))),
        )
        .explode("products", empty_as_null=False, keep_nulls=False)
        .unnest("products")
        .with_columns(
            pl.col("role").fill_null("promoted"),
            pl.when(pl.col("offer_type").is_in(list(OFFERS))).then("offer_type").alias("offer_type"),
            *[
                pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
                for name in ("valid_from", "valid_to")
            ],
        )
        .filter(pl.col("product_id").is_not_null() & pl.col("role").is_in(list(ROLES)))
        .sort([*_KEY, "valid_from", "valid_to", "group_id", "offer_type", "offer_value"])
        .unique(_KEY, keep="first", maintain_order=True)
    )
    start = pl.max_horizontal("opens", "valid_from")
    stop = pl.min_horizontal("closes", "valid_to", pl.lit(end, dtype=pl.Datetime("us", "UTC")))
    runs = pl.col("opens").is_not_null() & (start < stop)
    return listed.with_columns(
        pl.when(runs).then(local_date(start, zone)).alias("first_day"),
        pl.when(runs).then(local_date(stop - pl.duration(microseconds=1), zone)).alias("last_day"),
    )


def _sales(inputs: CampaignInputs, skus: pl.DataFrame) -> pl.DataFrame:
    within = inputs.lines.join(skus.select(*_KEY, "first_day", "last_day"), on="product_id", how="inner").filter(
        pl.col("date").is_between("first_day", "last_day")
    )
    sold = within.filter(pl.col("kind") == "sale").group_by(_KEY)
    every = within.group_by(_KEY)
    return every.agg(
        pl.col("quantity").filter(pl.col("kind") == "return").sum().neg().alias("returned_units"),
        pl.col("occurred_at").max().alias("last_line_at"),
    ).join(
        sold.agg(
            pl.col("quantity").sum().alias("units_sold"),
            distinct("order_id").alias("orders"),
            distinct("customer_id").alias("buyers"),
            *money(),
        ),
        on=_KEY,
        how="left",
    )


def _baseline(inputs: CampaignInputs, skus: pl.DataFrame) -> pl.DataFrame:
    starts = skus["first_day"].drop_nulls().unique().to_list()
    covered = [start for start in starts if inputs.published.issuperset(baseline_days(start))]
    running = skus.filter(pl.col("first_day").is_in(covered)).select(*_KEY, "first_day", "last_day")
    weekdays = (
        running.with_columns(pl.date_ranges("first_day", "last_day").alias("day"))
        .explode("day")
        .group_by(*_KEY, pl.col("day").dt.weekday().alias("weekday"))
        .agg(count().alias("days"))
    )
    before = (
        inputs.product_daily.join(running, on="product_id", how="inner")
        .filter(
            pl.col("date").is_between(
                pl.col("first_day") - pl.duration(days=7 * BASELINE_WEEKS), pl.col("first_day"), closed="left"
            )
        )
        .group_by(*_KEY, pl.col("date").dt.weekday().alias("weekday"))
        .agg(pl.col("units_sold").sum().alias("units"))
    )
    total = (pl.col("days") * pl.col("units").fill_null(0)).sum() // BASELINE_WEEKS
    return weekdays.join(before, on=[*_KEY, "weekday"], how="left").group_by(_KEY).agg(total.alias("baseline_units"))
