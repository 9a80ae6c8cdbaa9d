"""Contracts of the five daily CSV files of campaigns: columns in file order, keys and versions.

Within a major version columns are only appended, at the right end. How the figures are counted is in docs/exports.md.
"""

from __future__ import annotations

from schemas.contract import Column, Contract
from schemas.entities.campaigns import CAMPAIGN_STATUSES, CAMPAIGN_TYPES, CONTACT_CHANNELS, OPT_OUT_REASONS

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


_MONEY = (
    Column(
        "revenue_minor",
        "int64",
        description="Net of those orders in minor units; null when they are in several currencies.",
    ),
    Column("discount_minor", "int64", description="Discount on those orders in minor units."),
    Column("currency", "string", description="ISO 4217 code of the money columns."),
)

CAMPAIGNS_CSV = Contract(
    name="campaigns",
    description="Every campaign, with its results up to the end of the day.",
    partitioned=False,
    primary_key=("campaign_id",),
    columns=(
        Column("snapshot_date", "date", required=True, description="Tenant day at whose end the file stands."),
        _string("campaign_id", True, description="external_id of the campaign."),
        _string("external_ref", description="Id of the campaign in another system."),
        _string("name", True, description="Name of the campaign."),
        _string("type", True, enum=CAMPAIGN_TYPES, description="What kind of campaign it is."),
        _string("channel", True, description="How it reaches people."),
        _string(
            "status",
            True,
            enum=CAMPAIGN_STATUSES,
            description="Status as sent, else as the instants say at the end of the day.",
        ),
        _at("starts_at", description="Planned start."),
        _at("ends_at", description="Planned end."),
        _at("launched_at", description="When it went live."),
        _at("ended_at", description="When it ended."),
        _at("archived_at", description="When it was put away."),
        _string("timezone", True, description="IANA zone of its times; the tenant's where it has none."),
        _string("group_id", references="groups", description="Outlet group that it is for."),
        _string("audience_cohort_id", description="Cohort that it was sent to."),
        _string("audience_definition_version", description="Version of that cohort's definition on the day."),
        Column("target_size", "int64", description="Selected customers outside the control group."),
        Column("control_size", "int64", description="Selected customers in the control group."),
        _count("sent", description="Messages sent."),
        _count("delivered", description="Messages delivered."),
        _count("failed", description="Messages that failed."),
        _count("opened", description="Opens of its messages."),
        _count("clicked", "Clicks on the campaign's links, bots left out."),
        _count("unique_clickers", description="Distinct people behind the clicks."),
        _count("converted_customers", description="Distinct customers behind the conversions."),
        _count("conversions", "Orders whose latest click in its attribution window was on this campaign."),
        Column("revenue_minor", "int64", description="Null when the orders are in several currencies."),
        Column("discount_minor", "int64", description="Discount on those orders in minor units."),
        _string("currency", description="ISO 4217 code of the money columns."),
        _count("opt_outs", description="Opt-outs that name the campaign, or one of its links."),
        _count("attribution_window_days", description="Days after a click in which an order counts."),
        _at("created_at", True, description="When the campaign was made."),
        _at("updated_at", True, description="Last instant of the data that changed the campaign."),
        _count("clicks_unattributed", "Clicks of people who were not selected, or are not known customers."),
    ),
)

CAMPAIGN_CUSTOMERS_CSV = Contract(
    name="campaign_customers",
    description="Every selected customer of a campaign and how far the message got.",
    partitioned=False,
    primary_key=("campaign_id", "customer_id"),
    columns=(
        _string(
            "campaign_id", True, references="campaigns", description="Campaign that the customer was selected for."
        ),
        _string("customer_id", True, references="customers", description="external_id of the customer."),
        _string("variant", True, description="Arm of the test, control for the control group."),
        _at("selected_at", True, description="When the customer was selected."),
        _string("cohort_id", description="Audience cohort of the campaign."),
        _at(
            "cohort_entered_at", description="When the customer entered it; null when not in it at the end of the day."
        ),
        _string("channel", True, description="How the message goes out."),
        _string("status", True, enum=STAGES, description="The furthest stage reached."),
        _string("suppression_reason", description="Why no message was sent."),
        _at("sent_at", description="First message sent."),
        _at("delivered_at", description="First message delivered."),
        _at("failed_at", description="Last message that failed."),
        _string("failure_code", description="Code of that failure, as sent."),
        _at("first_opened_at", description="First open, bots left out."),
        _at("first_clicked_at", description="First click, bots left out."),
        _at("last_clicked_at", description="Last click, bots left out."),
        _count("open_count", description="Opens, bots left out."),
        _count("click_count", description="Clicks, bots left out."),
        _at("converted_at", description="First order that counts for the campaign."),
        _string("conversion_transaction_id", references="transactions", description="That order."),
        Column("conversion_count", "int64", description="Orders that count for the campaign."),
        *_MONEY,
        _at("opted_out_at", description="First opt-out because of the campaign."),
        _at("updated_at", True, description="Last instant of the data that changed the row."),
    ),
)

CAMPAIGN_SKUS_CSV = Contract(
    name="campaign_skus",
    description="Every product of a campaign and how it sold while the campaign ran; units as decimals.",
    partitioned=False,
    primary_key=("campaign_id", "product_id", "role"),
    columns=(
        _string("campaign_id", True, references="campaigns", description="Campaign that the product takes part in."),
        _string("product_id", True, references="products", description="external_id of the product."),
        _string("role", True, enum=ROLES, description="What the product is in the campaign."),
        _string("offer_type", enum=OFFERS, description="Kind of offer."),
        _string("offer_value", description="Size of the offer, a decimal number as it was sent."),
        Column("max_quantity", "int64", description="Most units that one order gets the offer for."),
        Column("budget_minor", "int64", description="Budget in minor units."),
        _string("currency", description="ISO 4217 code of the money columns."),
        _at("valid_from", description="Start of the product's part, where it has one of its own."),
        _at("valid_to", description="End of the product's part, where it has one of its own."),
        _string("group_id", references="groups", description="Outlet group that the offer is for."),
        Column("units_sold", "quantity", required=True, description="Units sold on the days when it took part."),
        _count("orders", description="Distinct orders behind them."),
        _count("buyers", description="Distinct customers behind them."),
        Column("revenue_minor", "int64", description="Null when sold in several currencies."),
        Column("discount_minor", "int64", description="Discount on those lines in minor units."),
        Column("baseline_units", "quantity", description="Same weekdays, mean of the 4 weeks before the campaign."),
        Column("uplift_units", "quantity", description="units_sold less baseline_units."),
        Column("returned_units", "quantity", required=True, description="Units returned on those days."),
        Column("stock_runway_days", "ratio", description="At the end of the day."),
        _string("scarcity_state", description="State of the signal scarcity_state at the end of the day."),
        _at("updated_at", True, description="Last instant of the data that changed the row."),
    ),
)

OPT_OUTS_CSV = Contract(
    name="opt_outs",
    description="Every opt-out and opt-in up to the end of the day, the current one marked.",
    partitioned=False,
    primary_key=("opt_out_id",),
    columns=(
        _string("opt_out_id", True, description="external_id of the opt-out or opt-in."),
        _string("customer_id", references="customers", description="Customer who made it, where known."),
        _string(
            "contact_hash", description="Keyed hash of the contact where no customer is known, or several share it."
        ),
        _string("channel", True, enum=CONTACT_CHANNELS, description="Channel that it is about."),
        _string("scope", True, enum=("all", "campaign", "topic"), description="How far it reaches."),
        _string("campaign_id", references="campaigns", description="Campaign that it names, or whose link was used."),
        _string("action", True, enum=("opt_out", "opt_in"), description="Out or in."),
        _string("reason", True, enum=OPT_OUT_REASONS, description="How it came about."),
        _string("source", description="System that it came from."),
        _string("link_id", references="links", description="Link that was used."),
        _at("occurred_at", True, description="When it happened."),
        _at("effective_at", True, description="From when on it counts."),
        _string(
            "previous_status",
            True,
            enum=STANDINGS,
            description="What stood before it for this person, channel and scope.",
        ),
        Column(
            "is_current",
            "boolean",
            required=True,
            description="Whether nothing later stands for this person, channel and scope.",
        ),
    ),
)

LINK_STATISTICS_CSV = Contract(
    name="link_statistics",
    description="Every link: its clicks on the day, and in the columns that say so up to the end of the day.",
    partitioned=False,
    primary_key=("link_id", "stat_date"),
    columns=(
        _string("link_id", True, description="external_id of the link."),
        _string("campaign_id", True, references="campaigns", description="Campaign of the link."),
        _string("message_id", description="Message that the link is in."),
        _string("short_url", description="Short form of the link."),
        _string("destination_url", True, description="Without tracking parameters."),
        _string("label", description="Label of the link."),
        Column("position", "int64", description="Place of the link in the message."),
        _string("product_id", references="products", description="Product that the link leads to."),
        _string("channel", True, description="Channel of the link, else of its campaign."),
        Column("stat_date", "date", required=True, description="Tenant day of the columns that are not cumulative."),
        _count("clicks", "Bots left out."),
        _count("unique_clickers", description="Distinct people behind the clicks of the day."),
        _count("bot_clicks", description="Clicks of the day by those whom the sender marks as bots."),
        _at("first_click_at", description="First click of the day."),
        _at("last_click_at", description="Last click of the day."),
        _count("clicks_cumulative", description="Clicks up to the end of the day."),
        _count("unique_clickers_cumulative", description="Distinct people behind them."),
        Column("device_mobile", "int64", description="Clicks of the day on mobile devices."),
        Column("device_desktop", "int64", description="Clicks of the day on desktops."),
        Column("device_other", "int64", description="Other and unknown devices."),
        Column("conversions", "int64", description="Orders of the day whose latest click was on this link."),
        Column(
            "revenue_minor",
            "int64",
            description="Net of those orders in minor units; null when they are in several currencies.",
        ),
        _string("currency", description="ISO 4217 code of the money columns."),
        _at("updated_at", True, description="Last instant of the data that changed the link."),
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
