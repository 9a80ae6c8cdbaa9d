"""What the campaign files of a run are computed from: read once for all its days, then cut at the end of each.

An event, order or opt-out counts on a day when it happened before the day's end. A campaign, link or selection is
taken as it was at the end of the day; one whose first version is later is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from pipelines.calendar import Day
from pipelines.exports.campaigns.people import contact_versions
from pipelines.exports.inputs import Inputs, input_versions
from pipelines.storage.lake import Lake

MESSAGES = ("Message Sent", "Message Delivered", "Message Failed", "Message Opened")
CLICKED = "Link Clicked"

#: Weeks before a campaign that its sales are compared with.
BASELINE_WEEKS = 4

#: Kept whole: as many rows as there are campaigns, links, selections and opt-outs.
HISTORIES = ("campaigns_history", "campaign_customers_history", "links_history", "opt_outs_history")
DAILY = (
    "customer_events",
    "customer_orders",
    "order_lines",
    "product_daily",
    "signal_snapshots",
    "cohort_membership",
    "cohort_sizes",
)
TABLES = (
    *HISTORIES,
    "identity_links",
    "customer_merges",
    "customers_history",
    "customers",
    "products",
    "groups",
    *DAILY,
)

_EVENT_COLUMNS = (
    "external_id",
    "event_name",
    "occurred_at",
    "customer_id",
    "flockr_vid",
    "campaign_id",
    "link_id",
    "agent_class",
    "device_type",
    "failure_code",
)


@dataclass(frozen=True)
class CampaignInputs:
    """Rows for all days of a run; columns are those of the lake tables, fewer where that saves memory.

    Attributes:
        histories: versions of campaigns, campaign_customers, links and opt_outs, by entity.
        events: message events and link clicks up to the end of the last day.
        identity: facts that a visitor was a customer.
        merges: for whom each id stands, ``customer_merges``.
        contacts: when customers had contacts that opt-outs name, of ``contact_versions``.
        orders: sales of customers who clicked.
        lines: sales and returns of campaign products.
        product_daily: units of campaign products by day.
        published: days of which ``product_daily`` exists.
        signals: stock runway and scarcity of campaign products.
        membership: members of audience cohorts who were selected.
        definitions: definition version of each cohort by day.
        known: ids that exist, by entity.
        versions: input versions by day.
        zone: IANA zone of the tenant.
    """

    histories: dict[str, pl.DataFrame]
    events: pl.DataFrame
    identity: pl.DataFrame
    merges: pl.DataFrame
    contacts: pl.DataFrame
    orders: pl.DataFrame
    lines: pl.DataFrame
    product_daily: pl.DataFrame
    published: frozenset[date]
    signals: pl.DataFrame
    membership: pl.DataFrame
    definitions: pl.DataFrame
    known: dict[str, pl.DataFrame]
    versions: dict[date, Inputs]
    zone: str


def read_inputs(
    lake: Lake, zone: str, days: Sequence[Day], counting: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows
) -> CampaignInputs:
    """Read what the files of the days need; the events are scanned once, whatever the number of days.

    ``counting`` leaves of cohort tables the rows of the definitions that count on their day.
    """
    dates = [day.date for day in days]
    last = max(dates, default=date.min)
    histories = {table.removesuffix("_history"): lake.read(table) for table in HISTORIES}
    events = _events(lake, last)
    skus = product_ids(histories["campaigns"])
    audiences = histories["campaigns"]["audience_cohort_id"].drop_nulls().unique()
    merges = lake.read("customer_merges")
    named = histories["campaign_customers"]["customer_id"].drop_nulls()
    selected = pl.concat([named, merges["customer_id"]]).unique()
    return CampaignInputs(
        histories=histories,
        events=events,
        identity=lake.read("identity_links").select("flockr_vid", "customer_id", "occurred_at").drop_nulls(),
        merges=merges,
        contacts=contact_versions(lake.scan("customers_history"), histories["opt_outs"]),
        orders=_until(lake, "customer_orders", last)
        .filter((pl.col("kind") == "sale") & pl.col("customer_id").is_not_null())
        # As sent, as selections, clicks and opt-outs are: for whom all of them stand is asked at the end of each day.
        .with_columns(pl.coalesce("sent_customer_id", "customer_id").alias("customer_id"))
        .select("order_id", "customer_id", "occurred_at", "net_minor", "discount_minor", "currency")
        .collect(),
        lines=_until(lake, "order_lines", last).filter(pl.col("product_id").is_in(skus.implode())).collect(),
        product_daily=_until(lake, "product_daily", last)
        .filter(pl.col("product_id").is_in(skus.implode()))
        .select("date", "product_id", "units_sold")
        .collect(),
        published=frozenset(lake.days("product_daily")),
        signals=lake.scan("signal_snapshots", dates)
        .filter(
            pl.col("signal_id").is_in(["stock_runway_days", "scarcity_state"])
            & pl.col("subject").is_in(skus.implode())
            & pl.col("place").is_null()
        )
        .select("date", "signal_id", "subject", "value", "state")
        .collect(),
        membership=counting(lake.scan("cohort_membership", dates))
        .filter(pl.col("cohort_id").is_in(audiences.implode()) & pl.col("external_id").is_in(selected.implode()))
        .select("date", "cohort_id", "external_id", "entered_at", "is_member")
        .collect(),
        definitions=counting(lake.scan("cohort_sizes", dates))
        .select("date", "cohort_id", "definition_version")
        .collect(),
        known={name: lake.scan(name).select("external_id").collect() for name in ("customers", "products", "groups")},
        versions=input_versions(lake, [table for table in TABLES if lake.exists(table)], dates),
        zone=zone,
    )


def _events(lake: Lake, last: date) -> pl.DataFrame:
    message = pl.col("event_name").is_in(list(MESSAGES)) & pl.col("campaign_id").is_not_null()
    return (
        _until(lake, "customer_events", last)
        .filter(message | (pl.col("event_name") == CLICKED))
        .select(_EVENT_COLUMNS)
        .collect()
    )


def _until(lake: Lake, table: str, last: date) -> pl.LazyFrame:
    return lake.scan(table, [day for day in lake.days(table) if day <= last])


def product_ids(campaigns: pl.DataFrame) -> pl.Series:
    """Every product that any version of a campaign names."""
    found = campaigns.select(
        pl.col("products").str.json_decode(pl.List(pl.Struct({"product_id": pl.String}))).alias("products")
    ).explode("products")
    return found["products"].struct.field("product_id").drop_nulls().unique().sort().alias("product_id")


def as_of(history: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """Version of each id at an instant; ids without one yet, and tombstones, are left out.

    Args:
        history: folded versions with ``effective_from`` and ``is_deleted``.
        end: the instant; a version that begins at it is not yet valid.
    """
    return newest(history.filter(pl.col("effective_from") < end)).filter(~pl.col("is_deleted"))


def newest(history: pl.DataFrame) -> pl.DataFrame:
    """Last version of each id; of two at one instant, the one that the fold kept open."""
    ordered = history.sort("external_id", "effective_from", "effective_to", "version_hash", nulls_last=True)
    return ordered.unique("external_id", keep="last", maintain_order=True)


def baseline_days(start: date) -> list[date]:
    """The four weeks before a campaign's first day."""
    return [start - timedelta(days=n) for n in range(1, 7 * BASELINE_WEEKS + 1)]
