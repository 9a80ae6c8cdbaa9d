"""Contracts of what readers outside see: Parquet datasets on S3 and the five daily CSV files on GCS.

What belongs here: names, columns in file order, keys and versions. Within a major version columns are only appended,
at the right end. Which rows a file holds is decided by ``pipelines.exports``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from schemas.contract import Column, Contract
from schemas.entities.activity import CUSTOMER_EVENTS
from schemas.entities.campaigns import CAMPAIGN_STATUSES, CAMPAIGN_TYPES, CONTACT_CHANNELS, OPT_OUT_REASONS
from schemas.tables import (
    COHORT_MEMBERSHIP,
    COHORT_MEMBERSHIP_HISTORY,
    COHORT_SIZES,
    COHORT_TRANSITIONS,
    DATE,
    SIGNAL_CROSSINGS,
    SIGNAL_METRICS,
    SIGNAL_SNAPSHOTS,
    SIGNAL_WINDOWS,
    VISITOR_SIGNAL_CROSSINGS,
    VISITOR_SIGNAL_SNAPSHOTS,
)

#: Fields of an event that a person may have typed something personal into.
FREE_TEXT = ("query", "attributes", "message_ref")

EVENTS = Contract(
    name="events",
    description="What visitors and customers did on a day, without free text.",
    primary_key=("date", "event_id"),
    columns=(
        DATE,
        Column("event_id", "string", required=True, description="external_id of the event."),
        *(replace(column, required=False) for column in CUSTOMER_EVENTS.columns if column.name not in FREE_TEXT),
    ),
)

#: Dataset name -> contract. Rows are those of the lake table of that name; ``events`` comes from customer_events.
DATASETS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        COHORT_MEMBERSHIP,
        COHORT_TRANSITIONS,
        COHORT_SIZES,
        SIGNAL_SNAPSHOTS,
        SIGNAL_CROSSINGS,
        VISITOR_SIGNAL_SNAPSHOTS,
        VISITOR_SIGNAL_CROSSINGS,
        EVENTS,
        COHORT_MEMBERSHIP_HISTORY,
        SIGNAL_WINDOWS,
        SIGNAL_METRICS,
    )
}

STAGES = ("selected", "suppressed", "sent", "delivered", "failed", "opened", "clicked", "converted")
ROLES = ("promoted", "reward", "qualifying", "excluded")
OFFERS = ("percent", "amount", "price", "points", "bogo")
STANDINGS = ("opted_in", "opted_out", "unknown")

#: String columns that hold a decimal number as it was written.
DECIMALS = frozenset({"offer_value"})


def _string(name: str, required: bool = False, **more: object) -> Column:
    return Column(name, "string", required, **more)  # type: ignore[arg-type]


def _count(name: str, description: str = "") -> Column:
    return Column(name, "int64", required=True, minimum=0, description=description)


def _at(name: str, required: bool = False, description: str = "") -> Column:
    return Column(name, "timestamp", required, description=description)


_MONEY = (Column("revenue_minor", "int64"), Column("discount_minor", "int64"), Column("currency", "string"))

CAMPAIGNS_CSV = Contract(
    name="campaigns",
    description="Every campaign, with its results up to the end of the day.",
    partitioned=False,
    primary_key=("campaign_id",),
    columns=(
        Column("snapshot_date", "date", required=True),
        _string("campaign_id", True),
        _string("external_ref"),
        _string("name", True),
        _string("type", True, enum=CAMPAIGN_TYPES),
        _string("channel", True),
        _string("status", True, enum=CAMPAIGN_STATUSES),
        _at("starts_at"),
        _at("ends_at"),
        _at("launched_at"),
        _at("ended_at"),
        _at("archived_at"),
        _string("timezone", True),
        _string("group_id", references="groups"),
        _string("audience_cohort_id"),
        _string("audience_definition_version"),
        Column("target_size", "int64", description="Selected customers outside the control group."),
        Column("control_size", "int64"),
        _count("sent"),
        _count("delivered"),
        _count("failed"),
        _count("opened"),
        _count("clicked", "Clicks on the campaign's links, bots left out."),
        _count("unique_clickers"),
        _count("converted_customers"),
        _count("conversions", "Orders whose latest click in its attribution window was on this campaign."),
        Column("revenue_minor", "int64", description="Null when the orders are in several currencies."),
        Column("discount_minor", "int64"),
        _string("currency"),
        _count("opt_outs"),
        _count("attribution_window_days"),
        _at("created_at", True),
        _at("updated_at", True),
        _count("clicks_unattributed", "Clicks of people who were not selected, or are not known customers."),
    ),
)

CAMPAIGN_CUSTOMERS_CSV = Contract(
    name="campaign_customers",
    description="Every selected customer of a campaign and how far the message got.",
    partitioned=False,
    primary_key=("campaign_id", "customer_id"),
    columns=(
        _string("campaign_id", True, references="campaigns"),
        _string("customer_id", True, references="customers"),
        _string("variant", True),
        _at("selected_at", True),
        _string("cohort_id"),
        _at("cohort_entered_at"),
        _string("channel", True),
        _string("status", True, enum=STAGES),
        _string("suppression_reason"),
        _at("sent_at"),
        _at("delivered_at"),
        _at("failed_at"),
        _string("failure_code"),
        _at("first_opened_at"),
        _at("first_clicked_at"),
        _at("last_clicked_at"),
        _count("open_count"),
        _count("click_count"),
        _at("converted_at"),
        _string("conversion_transaction_id", references="transactions"),
        Column("conversion_count", "int64"),
        *_MONEY,
        _at("opted_out_at"),
        _at("updated_at", True),
    ),
)

CAMPAIGN_SKUS_CSV = Contract(
    name="campaign_skus",
    description="Every product of a campaign and how it sold while the campaign ran; units as decimals.",
    partitioned=False,
    primary_key=("campaign_id", "product_id", "role"),
    columns=(
        _string("campaign_id", True, references="campaigns"),
        _string("product_id", True, references="products"),
        _string("role", True, enum=ROLES),
        _string("offer_type", enum=OFFERS),
        _string("offer_value"),
        Column("max_quantity", "int64"),
        Column("budget_minor", "int64"),
        _string("currency"),
        _at("valid_from"),
        _at("valid_to"),
        _string("group_id", references="groups"),
        Column("units_sold", "quantity", required=True),
        _count("orders"),
        _count("buyers"),
        Column("revenue_minor", "int64", description="Null when sold in several currencies."),
        Column("discount_minor", "int64"),
        Column("baseline_units", "quantity", description="Same weekdays, mean of the 4 weeks before the campaign."),
        Column("uplift_units", "quantity", description="units_sold less baseline_units."),
        Column("returned_units", "quantity", required=True),
        Column("stock_runway_days", "ratio", description="At the end of the day."),
        _string("scarcity_state"),
        _at("updated_at", True),
    ),
)

OPT_OUTS_CSV = Contract(
    name="opt_outs",
    description="Every opt-out and opt-in up to the end of the day, the current one marked.",
    partitioned=False,
    primary_key=("opt_out_id",),
    columns=(
        _string("opt_out_id", True),
        _string("customer_id", references="customers"),
        _string("contact_hash"),
        _string("channel", True, enum=CONTACT_CHANNELS),
        _string("scope", True, enum=("all", "campaign", "topic")),
        _string("campaign_id", references="campaigns"),
        _string("action", True, enum=("opt_out", "opt_in")),
        _string("reason", True, enum=OPT_OUT_REASONS),
        _string("source"),
        _string("link_id", references="links"),
        _at("occurred_at", True),
        _at("effective_at", True),
        _string("previous_status", True, enum=STANDINGS),
        Column("is_current", "boolean", required=True),
    ),
)

LINK_STATISTICS_CSV = Contract(
    name="link_statistics",
    description="Every link: its clicks on the day, and in the columns that say so up to the end of the day.",
    partitioned=False,
    primary_key=("link_id", "stat_date"),
    columns=(
        _string("link_id", True),
        _string("campaign_id", True, references="campaigns"),
        _string("message_id"),
        _string("short_url"),
        _string("destination_url", True, description="Without tracking parameters."),
        _string("label"),
        Column("position", "int64"),
        _string("product_id", references="products"),
        _string("channel", True),
        Column("stat_date", "date", required=True),
        _count("clicks", "Bots left out."),
        _count("unique_clickers"),
        _count("bot_clicks"),
        _at("first_click_at"),
        _at("last_click_at"),
        _count("clicks_cumulative"),
        _count("unique_clickers_cumulative"),
        Column("device_mobile", "int64"),
        Column("device_desktop", "int64"),
        Column("device_other", "int64", description="Other and unknown devices."),
        Column("conversions", "int64", description="Orders of the day whose latest click was on this link."),
        Column("revenue_minor", "int64"),
        _string("currency"),
        _at("updated_at", True),
    ),
)

#: File name without ``.csv`` -> contract.
CSV_FILES: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        CAMPAIGNS_CSV,
        CAMPAIGN_CUSTOMERS_CSV,
        CAMPAIGN_SKUS_CSV,
        OPT_OUTS_CSV,
        LINK_STATISTICS_CSV,
    )
}

#: Name under which the five files are published together.
CAMPAIGN_FILES = "campaign_files"


def file_contract(dataset: str) -> Contract:
    """The columns inside a Parquet file: those of the dataset without ``date``, which is in the path."""
    contract = DATASETS[dataset]
    return replace(
        contract,
        columns=contract.columns[1:],
        primary_key=contract.primary_key[1:],
        partitioned=False,
    )


def contract_sha256(*contracts: Contract) -> str:
    """sha256 of names, kinds, duties and enums, in order; changes whenever a reader could notice."""
    described = [
        [contract.name, contract.version, list(contract.primary_key)]
        + [[column.name, column.kind, column.required, list(column.enum or ())] for column in contract]
        for contract in contracts
    ]
    return hashlib.sha256(json.dumps(described, separators=(",", ":")).encode()).hexdigest()
