"""Cohorts: who is in at the end of a day, who entered and left when, and how many that makes."""

from __future__ import annotations

from datetime import date

from schemas.contract import Column, Contract
from schemas.tables.shared import DATE, DIRECTIONS

#: Partition of the spans that have not ended.
OPEN_SPANS = date(9999, 12, 31)

CONTEXT: tuple[Column, ...] = (
    Column("cart_total_value_minor", "int64", description="Minor units."),
    Column("currency", "string", description="ISO 4217."),
    Column("cart_product_ids", "json", description="Products in the cart."),
    Column("low_stock_product_ids", "json", description="Those of them that are nearly sold out."),
    Column("top_signal", "string", description="The strongest signal of the products in the cart."),
    Column("order_count_365", "int64", description="Orders in the 365 days before."),
    Column("last_order_at", "timestamp", description="The last order."),
    Column("days_since", "int64", description="Whole days since the last order, at the instant of the row."),
    Column("ltv_minor", "int64", description="Net of all orders so far, minor units; null with several currencies."),
)

VALUES = Column(
    "context", "json", description="Values that the cohort's definition shows beside the membership.", since="1.1"
)

COHORT_MEMBERSHIP = Contract(
    name="cohort_membership",
    version="1.1",
    description="Who is in a cohort at the end of the day, and who left it on the day.",
    primary_key=("date", "cohort_id", "definition_version", "subject"),
    columns=(
        DATE,
        Column("cohort_id", "string", required=True, description="Which rule."),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
        Column("subject", "string", required=True, description="Visitor or customer id, by subject_type."),
        Column("membership_key", "string", required=True, description="Hash of tenant, cohort and subject."),
        Column(
            "subject_type",
            "string",
            required=True,
            enum=("visitor", "customer"),
            description="What kind of id subject is.",
        ),
        Column("flockr_vid", "string", description="Visitor linked to the subject, if any."),
        Column("external_id", "string", description="Customer linked to the subject, if any."),
        Column("is_member", "boolean", required=True, description="False for those who left on the day."),
        Column(
            "entered_at", "timestamp", required=True, description="Instant of the data at which the membership began."
        ),
        Column("expires_at", "timestamp", description="When it ends if nothing happens."),
        *CONTEXT,
        Column("updated_at", "timestamp", required=True, description="Last instant of the data that changed the row."),
        VALUES,
    ),
)

COHORT_TRANSITIONS = Contract(
    name="cohort_transitions",
    version="1.1",
    description="One entry or exit, at an instant of the data.",
    primary_key=("date", "cohort_id", "definition_version", "subject", "effective_at", "direction"),
    columns=(
        DATE,
        Column("cohort_id", "string", required=True, description="Which rule."),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
        Column(
            "subject", "string", required=True, description="Id of the visitor, customer or product, by subject_type."
        ),
        Column("effective_at", "timestamp", required=True, description="Instant of the data at which it became true."),
        Column("direction", "string", required=True, enum=DIRECTIONS, description="Entry or exit."),
        Column(
            "transition_id",
            "string",
            required=True,
            description="Hash of tenant, cohort, subject, direction and instant.",
        ),
        Column(
            "subject_type",
            "string",
            required=True,
            enum=("visitor", "customer"),
            description="What kind of id subject is.",
        ),
        Column("flockr_vid", "string", description="Visitor linked to the subject, if any."),
        Column("external_id", "string", description="Customer linked to the subject, if any."),
        Column(
            "caused_by",
            "string",
            required=True,
            description="What happened: silence, order, return, merge, add, stock, click, referral, opt_out, opt_in, "
            "cart_emptied, cohort, expiry; bound for what is decided at the end of a day.",
        ),
        *CONTEXT,
        VALUES,
    ),
)

COHORT_SIZES = Contract(
    name="cohort_sizes",
    description="Members at the end of the day, and how many came and went.",
    primary_key=("date", "cohort_id", "definition_version"),
    columns=(
        DATE,
        Column("cohort_id", "string", required=True, description="Which rule."),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
        Column("size", "int64", required=True, minimum=0, description="Members at the end of the day."),
        Column("entered", "int64", required=True, minimum=0, description="Entries, counted per transition."),
        Column("exited", "int64", required=True, minimum=0, description="Exits, counted per transition."),
    ),
)

COHORT_SUPPRESSED = Contract(
    name="cohort_suppressed",
    description="Entries and exits that dwell or cooldown kept from happening, told when they began to be held back.",
    primary_key=("date", "cohort_id", "definition_version", "subject", "effective_at", "direction"),
    columns=(
        DATE,
        Column("cohort_id", "string", required=True, description="Which rule."),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
        Column("subject", "string", required=True, description="Visitor or customer id, by subject_type."),
        Column("effective_at", "timestamp", required=True, description="Instant at which it would have happened."),
        Column("direction", "string", required=True, enum=DIRECTIONS, description="What would have happened."),
        Column(
            "subject_type",
            "string",
            required=True,
            enum=("visitor", "customer"),
            description="What kind of id subject is.",
        ),
        Column("suppressed_by", "string", required=True, enum=("dwell", "cooldown")),
    ),
)

COHORT_MEMBERSHIP_HISTORY = Contract(
    name="cohort_membership_history",
    description="Spans of membership in valid time: [valid_from, valid_to), open ones without an end.",
    primary_key=("date", "cohort_id", "subject", "valid_from", "definition_version"),
    columns=(
        Column(
            "date",
            "date",
            required=True,
            description="Tenant day on which the span ended; 9999-12-31 for the spans that are open.",
        ),
        Column("cohort_id", "string", required=True, description="Which rule."),
        Column("definition_version", "string", required=True, description="Definition by which it was entered."),
        Column("subject", "string", required=True, description="Visitor or customer id, by subject_type."),
        Column("valid_from", "timestamp", required=True, description="Instant of the data at which it was entered."),
        Column("valid_to", "timestamp", description="Instant of the data at which it was left; null while open."),
        Column(
            "subject_type",
            "string",
            required=True,
            enum=("visitor", "customer"),
            description="What kind of id subject is.",
        ),
        Column("flockr_vid", "string", description="Visitor linked to the subject at the entry, if any."),
        Column("external_id", "string", description="Customer linked to the subject at the entry, if any."),
        Column("entered_by", "string", description="caused_by of the entry; null where its day was not computed."),
        Column("exited_by", "string", description="caused_by of the exit."),
        Column("entry_transition_id", "string", required=True, description="The entry in cohort_transitions."),
        Column("exit_transition_id", "string", description="The exit in cohort_transitions."),
    ),
)
