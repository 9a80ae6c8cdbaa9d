"""Campaigns, who was selected for them, their links, and who does not want to hear."""

from __future__ import annotations

from schemas.contract import Column
from schemas.entities.envelope import Entity, Nested

CAMPAIGN_TYPES = ("discount_coupon", "promotion", "loyalty", "gift", "referral", "message")
CAMPAIGN_CHANNELS = ("email", "sms", "push", "post", "multi")
CAMPAIGN_STATUSES = ("draft", "scheduled", "live", "paused", "ended", "archived")
PRODUCT_ROLES = ("promoted", "reward", "qualifying", "excluded")
OFFER_TYPES = ("percent", "amount", "price", "points", "bogo")
SUPPRESSIONS = ("opted_out", "frequency_cap", "no_contact", "blocked")
CONTACT_CHANNELS = ("email", "sms", "push", "post", "phone", "all")
OPT_OUT_REASONS = (
    "unsubscribe_link",
    "stop_keyword",
    "complaint",
    "hard_bounce",
    "preference_centre",
    "agent",
    "import",
    "erasure",
)

CAMPAIGNS = Entity(
    name="campaigns",
    description="A campaign and the products that take part in it.",
    ordered_by="updated_at",
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("name", "string", required=True),
        Column("type", "string", required=True, enum=CAMPAIGN_TYPES),
        Column("channel", "string", required=True, enum=CAMPAIGN_CHANNELS),
        Column("status", "string", required=True, enum=CAMPAIGN_STATUSES),
        Column("starts_at", "timestamp"),
        Column("ends_at", "timestamp"),
        Column("launched_at", "timestamp"),
        Column("ended_at", "timestamp"),
        Column("archived_at", "timestamp"),
        Column("created_at", "timestamp"),
        Column("timezone", "string"),
        Column("external_ref", "string"),
        Column("group_id", "string", references="groups"),
        Column("audience_cohort_id", "string"),
        Column("products", "json"),
        Column("attribution_window_days", "int64", minimum=0, description="7 where not given."),
        Column("organization_id", "string"),
        Column("application_id", "string"),
    ),
    nested=(
        (
            "products",
            (
                Nested("product_id", "string", "products"),
                Nested("role", "string", enum=PRODUCT_ROLES),
                Nested("offer_type", "string", enum=OFFER_TYPES),
                Nested("offer_value", "string"),
                Nested("max_quantity", "int64"),
                Nested("budget_minor", "int64"),
                Nested("group_id", "string", "groups"),
                Nested("valid_from", "timestamp"),
                Nested("valid_to", "timestamp"),
            ),
        ),
    ),
)

CAMPAIGN_CUSTOMERS = Entity(
    name="campaign_customers",
    description="A customer selected for, or suppressed from, a campaign.",
    ordered_by="updated_at",
    natural_key=("campaign_id", "customer_id"),
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("campaign_id", "string", required=True, references="campaigns"),
        Column("customer_id", "string", required=True, references="customers"),
        Column("variant", "string", required=True),
        Column("selected_at", "timestamp", required=True),
        Column("channel", "string", required=True, enum=(*CAMPAIGN_CHANNELS, "phone")),
        Column("suppression_reason", "string", enum=SUPPRESSIONS),
    ),
)

LINKS = Entity(
    name="links",
    description="A tracked link of a campaign.",
    ordered_by="updated_at",
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("campaign_id", "string", required=True, references="campaigns"),
        Column("destination_url", "string", required=True),
        Column("short_url", "string"),
        Column("label", "string"),
        Column("position", "int64"),
        Column("product_id", "string", references="products"),
        Column("channel", "string", enum=CAMPAIGN_CHANNELS),
        Column("message_id_ref", "string", description="The message that carried the link."),
    ),
)

OPT_OUTS = Entity(
    name="opt_outs",
    description="An opt-out or opt-in of a customer or contact on a channel.",
    ordered_by="updated_at",
    columns=(
        Column("updated_at", "timestamp", description="occurred_at where not given."),
        Column("customer_id", "string", references="customers"),
        Column("contact", "string", personal=True),
        Column("channel", "string", required=True, enum=CONTACT_CHANNELS),
        Column("scope", "string", required=True, enum=("all", "campaign", "topic")),
        Column("campaign_id", "string", references="campaigns"),
        Column("action", "string", required=True, enum=("opt_out", "opt_in")),
        Column("reason", "string", required=True, enum=OPT_OUT_REASONS),
        Column("source", "string"),
        Column("link_id", "string", references="links"),
        Column("occurred_at", "timestamp", required=True),
    ),
    derived=(Column("contact_hash", "string", description="HMAC of the normalised contact with the tenant's key."),),
)
