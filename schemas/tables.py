"""Tables of the lake that the pipeline computes: facts, signals, cohorts and their ledgers.

Every table is sorted by its primary key. Valid-time tables hold nothing that depends on arrival; ledgers are marked.
"""

from __future__ import annotations

from schemas.contract import Column, Contract

DATE = Column("date", "date", required=True, description="Tenant day of the row.")
DIRECTIONS = ("entered", "exited")
SUBJECT_TYPES = ("visitor", "customer", "product")

# --- entities: what is still waited for -------------------------------------------------------------------------------

UNRESOLVED_REFERENCES = Contract(
    name="unresolved_references",
    description="Ledger: a row that names an entity which has not arrived.",
    partitioned=False,
    primary_key=("entity", "row_id", "field", "target_entity", "target_id"),
    columns=(
        Column("entity", "string", required=True, description="Entity of the waiting row."),
        Column("row_id", "string", required=True, description="external_id of the waiting row."),
        Column("field", "string", required=True),
        Column("target_entity", "string", required=True),
        Column("target_id", "string", required=True),
        Column("since", "timestamp", required=True, description="Instant of the waiting row's first version."),
        Column("date", "date", description="Tenant day that waits; null for entities without one."),
        Column("blocked_minor", "int64", description="Money of the waiting row, in minor units."),
        Column("currency", "string", description="ISO 4217."),
    ),
)

# --- facts: small daily rollups that every window is computed from ----------------------------------------------------

CART_ACTIVITY = Contract(
    name="cart_activity",
    description="Every step that changes a cart or ends it, one row per event and product.",
    primary_key=("date", "flockr_vid", "occurred_at", "event_id", "product_id", "line"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("occurred_at", "timestamp", required=True),
        Column("event_id", "string", required=True, description="external_id of the event."),
        Column("line", "int64", required=True, description="Position in the event's products, 0 for a scalar product."),
        Column("cart_key", "string", required=True, description="cart_id, else the session, else the visitor."),
        Column("step", "string", required=True, enum=("add", "remove", "view", "checkout", "order")),
        Column("product_id", "string", description="Null for steps without a product."),
        Column("quantity", "int64", required=True, description="Thousandths; 0 for steps without a product."),
        Column("unit_price_minor", "int64"),
        Column("currency", "string", description="ISO 4217."),
        Column("outlet_id", "string"),
    ),
)

CUSTOMER_ORDERS = Contract(
    name="customer_orders",
    description="A sale, or a return that names its sale; the order history that order cohorts are computed from.",
    primary_key=("date", "order_id"),
    columns=(
        DATE,
        Column("order_id", "string", required=True, description="external_id of the transaction."),
        Column("kind", "string", required=True, enum=("sale", "return")),
        Column("sale_id", "string", description="The sale a return is against; the order itself for a sale."),
        Column("customer_id", "string", description="Customer, if known."),
        Column("occurred_at", "timestamp", required=True),
        Column("net_minor", "int64", required=True, description="Negative for a return."),
        Column("currency", "string", required=True, description="ISO 4217."),
        Column("units", "int64", required=True, description="Thousandths; negative for a return."),
        Column("discount_minor", "int64", required=True),
        Column("channel", "string", required=True),
        Column("outlet_id", "string"),
        Column("campaign_ids", "json"),
    ),
)

ORDER_LINES = Contract(
    name="order_lines",
    description="Lines of sales and returns, one row per line.",
    primary_key=("date", "order_id", "line_no"),
    columns=(
        DATE,
        Column("order_id", "string", required=True, description="external_id of the transaction."),
        Column("line_no", "int64", required=True),
        Column("kind", "string", required=True, enum=("sale", "return")),
        Column("sale_id", "string"),
        Column("customer_id", "string", description="Customer, if known."),
        Column("occurred_at", "timestamp", required=True),
        Column("product_id", "string"),
        Column("quantity", "int64", required=True, description="Thousandths; negative for a return."),
        Column("net_minor", "int64", required=True),
        Column("discount_minor", "int64", required=True),
        Column("currency", "string", required=True, description="ISO 4217."),
        Column("outlet_id", "string"),
        Column("channel", "string", required=True),
    ),
)

VISITOR_ORDERS = Contract(
    name="visitor_orders",
    description="Orders that end a visitor's cart: of an Order Completed, or of the customer linked at that instant.",
    primary_key=("date", "flockr_vid", "order_id"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("order_id", "string", required=True, description="external_id of the transaction."),
        Column("ordered_at", "timestamp", required=True),
        Column("customer_id", "string", description="Customer, if known."),
    ),
)

VISITOR_DAILY = Contract(
    name="visitor_daily",
    description="What a visitor did on a day.",
    primary_key=("date", "flockr_vid"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("events", "int64", required=True),
        Column("sessions", "int64", required=True),
        Column("views", "int64", required=True),
        Column("products_viewed", "int64", required=True, description="Distinct products."),
        Column("adds", "int64", required=True),
        Column("removes", "int64", required=True),
        Column("checkouts", "int64", required=True),
        Column("orders", "int64", required=True),
        Column("first_at", "timestamp", required=True),
        Column("last_at", "timestamp", required=True),
    ),
)

CUSTOMER_DAILY = Contract(
    name="customer_daily",
    description="What a customer bought and returned on a day, per currency.",
    primary_key=("date", "customer_id", "currency"),
    columns=(
        DATE,
        Column("customer_id", "string", required=True, description="Customer."),
        Column("currency", "string", required=True, description="ISO 4217."),
        Column("orders", "int64", required=True),
        Column("spend_minor", "int64", required=True),
        Column("discount_minor", "int64", required=True),
        Column("units", "int64", required=True, description="Thousandths."),
        Column("returns", "int64", required=True),
        Column("returned_minor", "int64", required=True, description="Positive."),
        Column("first_at", "timestamp", required=True),
        Column("last_at", "timestamp", required=True),
    ),
)

PRODUCT_HOURLY = Contract(
    name="product_hourly",
    description="Demand for a product in a UTC hour; its last quarter apart, so that 15 minute windows are exact.",
    primary_key=("date", "product_id", "hour"),
    columns=(
        DATE,
        Column("product_id", "string", required=True, description="SKU."),
        Column("hour", "timestamp", required=True, description="Start of the UTC hour."),
        Column("views", "int64", required=True),
        Column("views_last_15m", "int64", required=True),
        Column("adds", "int64", required=True),
        Column("adds_last_15m", "int64", required=True),
        Column("purchases", "int64", required=True, description="Sale lines."),
        Column("purchases_last_15m", "int64", required=True),
    ),
)

PRODUCT_DAILY = Contract(
    name="product_daily",
    description="Demand, sales and stock of a product on a day, over all places.",
    primary_key=("date", "product_id"),
    columns=(
        DATE,
        Column("product_id", "string", required=True, description="SKU."),
        Column("views", "int64", required=True),
        Column("viewers", "int64", required=True, description="Distinct visitors."),
        Column("adds", "int64", required=True),
        Column("purchases", "int64", required=True, description="Sale lines."),
        Column("units_sold", "int64", required=True, description="Thousandths."),
        Column("units_returned", "int64", required=True, description="Thousandths, positive."),
        Column(
            "revenue_minor", "int64", required=True, description="Net of sale lines; only where one currency was used."
        ),
        Column("currency", "string", description="ISO 4217."),
        Column(
            "in_stock",
            "boolean",
            description="Some stock was available at some time of the day; null when never measured.",
        ),
        Column(
            "available_end",
            "int64",
            description="Thousandths available at the end of the day; null when never measured.",
        ),
    ),
)

# --- signals ----------------------------------------------------------------------------------------------------------

SIGNAL_SNAPSHOTS = Contract(
    name="signal_snapshots",
    description="Value and state of a signal at the end of a day.",
    primary_key=("date", "signal_id", "subject"),
    columns=(
        DATE,
        Column("signal_id", "string", required=True, description="Which signal, with its window."),
        Column("subject_type", "string", required=True, enum=SUBJECT_TYPES),
        Column(
            "subject", "string", required=True, description="Id of the visitor, customer or product, by subject_type."
        ),
        Column(
            "value", "ratio", description="A count, or one division of two integers; null when infinite or undefined."
        ),
        Column("state", "string", description="State, for signals that have one."),
        Column("value_prev", "ratio", description="Value at the end of the day before."),
        Column("state_prev", "string", description="State at the end of the day before."),
        Column("inputs_hash", "string", required=True, description="Hash of the integers behind the value."),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
    ),
)

SIGNAL_CROSSINGS = Contract(
    name="signal_crossings",
    description="A change of state, at an instant of the data; suppressed ones are kept with the cause.",
    primary_key=("date", "crossing_id"),
    columns=(
        DATE,
        Column(
            "crossing_id", "string", required=True, description="Hash of tenant, signal, subject, state and instant."
        ),
        Column("signal_id", "string", required=True, description="Which signal, with its window."),
        Column("subject_type", "string", required=True, enum=SUBJECT_TYPES),
        Column(
            "subject", "string", required=True, description="Id of the visitor, customer or product, by subject_type."
        ),
        Column("from_state", "string", description="State before; null for the first."),
        Column("to_state", "string", required=True, description="State after."),
        Column("value_before", "ratio"),
        Column("value_after", "ratio"),
        Column("threshold", "ratio", description="Bound that was crossed, where there is one."),
        Column("direction", "string", required=True, enum=("up", "down")),
        Column("effective_at", "timestamp", required=True, description="Instant of the data at which it became true."),
        Column("suppressed_by", "string", enum=("cooldown", "dwell")),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
    ),
)

# --- cohorts ----------------------------------------------------------------------------------------------------------

CONTEXT: tuple[Column, ...] = (
    Column("cart_total_value_minor", "int64", description="Minor units."),
    Column("currency", "string", description="ISO 4217."),
    Column("cart_product_ids", "json"),
    Column("low_stock_product_ids", "json"),
    Column("top_signal", "string"),
    Column("order_count_365", "int64"),
    Column("last_order_at", "timestamp"),
    Column("days_since", "int64", description="Whole days since the last order, at the instant of the row."),
    Column("ltv_minor", "int64", description="Net of all orders so far, minor units; null with several currencies."),
)

COHORT_MEMBERSHIP = Contract(
    name="cohort_membership",
    description="Who is in a cohort at the end of the day, and who left it on the day.",
    primary_key=("date", "cohort_id", "definition_version", "subject"),
    columns=(
        DATE,
        Column("cohort_id", "string", required=True, description="Which rule."),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
        Column("subject", "string", required=True, description="Visitor or customer id, by subject_type."),
        Column("membership_key", "string", required=True, description="Hash of tenant, cohort and subject."),
        Column("subject_type", "string", required=True, enum=("visitor", "customer")),
        Column("flockr_vid", "string", description="Visitor linked to the subject, if any."),
        Column("external_id", "string", description="Customer linked to the subject, if any."),
        Column("is_member", "boolean", required=True, description="False for those who left on the day."),
        Column(
            "entered_at", "timestamp", required=True, description="Instant of the data at which the membership began."
        ),
        Column("expires_at", "timestamp", description="When it ends if nothing happens."),
        *CONTEXT,
        Column("updated_at", "timestamp", required=True, description="Last instant of the data that changed the row."),
    ),
)

COHORT_TRANSITIONS = Contract(
    name="cohort_transitions",
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
        Column("direction", "string", required=True, enum=DIRECTIONS),
        Column(
            "transition_id",
            "string",
            required=True,
            description="Hash of tenant, cohort, subject, direction and instant.",
        ),
        Column("subject_type", "string", required=True, enum=("visitor", "customer")),
        Column("flockr_vid", "string", description="Visitor linked to the subject, if any."),
        Column("external_id", "string", description="Customer linked to the subject, if any."),
        Column(
            "caused_by",
            "string",
            required=True,
            description="What happened: silence, order, cart_emptied, expiry, bound, stock, return.",
        ),
        *CONTEXT,
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

# --- ledgers ----------------------------------------------------------------------------------------------------------

EVENT_LOG = Contract(
    name="event_log",
    description="Ledger: what was told to the world or withheld, and when; retractions included.",
    primary_key=("date", "event_id"),
    columns=(
        Column("date", "date", required=True, description="Tenant day of the effective instant."),
        Column("event_id", "string", required=True, description="Hash of transition, kind and generation."),
        Column("kind", "string", required=True, description="Event type, such as cohort.entered."),
        Column("transition_id", "string"),
        Column("crossing_id", "string"),
        Column(
            "generation",
            "int64",
            required=True,
            minimum=0,
            description="0 for the first telling; one more for each true-again.",
        ),
        Column("emission", "string", required=True, enum=("sent", "withheld")),
        Column("withheld_because", "string", enum=("backfill", "definition", "too_old")),
        Column("effective_at", "timestamp", required=True, description="Instant of the data at which it became true."),
        Column("detected_at", "timestamp", required=True, description="When a run noticed it."),
        Column("supersedes", "string", description="The event that a retraction takes back."),
        Column("cohort_id", "string"),
        Column("subject_type", "string"),
        Column("subject", "string"),
        Column("payload", "json", required=True, description="The data object of the event."),
    ),
)

EXPORT_SLO = Contract(
    name="export_slo",
    description="Ledger: what was promised for a dataset and day, and what was published.",
    primary_key=("date", "dataset", "revision"),
    columns=(
        DATE,
        Column("dataset", "string", required=True),
        Column("revision", "int64", required=True, minimum=1),
        Column("promised_at", "timestamp", required=True),
        Column("published_at", "timestamp", required=True),
        Column("reason", "string", required=True, enum=("initial", "late_data", "definition", "schema", "manual")),
        Column("rows", "int64", required=True, minimum=0),
        Column("completeness", "ratio", description="Share of references that resolve."),
        Column("missing", "json", description="Unresolved references by kind."),
    ),
)

BATCHES = Contract(
    name="batches",
    description="Ledger: one received file or request body and what became of its rows.",
    partitioned=False,
    primary_key=("entity", "batch_id"),
    columns=(
        Column("entity", "string", required=True),
        Column("batch_id", "string", required=True, description="sha256 of the received bytes."),
        Column("file", "string", description="File name as received, without its folder."),
        Column("received_at", "timestamp", required=True),
        Column("source", "string", required=True, enum=("file", "http", "drop")),
        Column("bytes", "int64", required=True),
        Column("received", "int64", required=True),
        Column("accepted", "int64", required=True),
        Column("duplicate", "int64", required=True),
        Column("superseded", "int64", required=True),
        Column("quarantined", "int64", required=True),
        Column("first_date", "date"),
        Column("last_date", "date"),
        Column("file_reason", "string", description="Why the whole file was quarantined."),
    ),
)

QUARANTINE = Contract(
    name="quarantine",
    description="Ledger: a row that was refused, with the reason and without its personal data.",
    partitioned=False,
    primary_key=("entity", "batch_id", "line_no"),
    columns=(
        Column("entity", "string", required=True),
        Column("batch_id", "string", required=True),
        Column("file", "string"),
        Column("line_no", "int64", required=True, description="1-based; 0 for a whole file."),
        Column("rule", "string", required=True),
        Column("reason", "string", required=True, description="Typed reason, such as missing_required:external_id."),
        Column("redacted_row", "json", description="Keys with the shape of their values; never a value."),
    ),
)

TABLES: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        UNRESOLVED_REFERENCES,
        CART_ACTIVITY,
        CUSTOMER_ORDERS,
        ORDER_LINES,
        VISITOR_ORDERS,
        VISITOR_DAILY,
        CUSTOMER_DAILY,
        PRODUCT_HOURLY,
        PRODUCT_DAILY,
        SIGNAL_SNAPSHOTS,
        SIGNAL_CROSSINGS,
        COHORT_MEMBERSHIP,
        COHORT_TRANSITIONS,
        COHORT_SIZES,
        EVENT_LOG,
        EXPORT_SLO,
        BATCHES,
        QUARANTINE,
    )
}
