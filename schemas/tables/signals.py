"""Signals of products: their values at the end of a day, and each change of state at its instant."""

from __future__ import annotations

from schemas.contract import Column, Contract
from schemas.tables.shared import DATE, SUBJECT_TYPES

#: What is counted, and the windows that have a column of their own.
COUNTED = ("views", "add_to_bags", "purchases")
WINDOWS = ("15m", "1h", "6h", "24h", "3d", "7d", "28d")

SIGNAL_WINDOWS = Contract(
    name="signal_windows",
    description=(
        "Counts of a product over the windows that end with a day, and the distinct visitors behind them: the signals"
        " views, add_to_bags and purchases. velocity is a count over the hours of its window, the value of the day"
        " before is in the partition before. A product without a row has 0 in every window."
    ),
    primary_key=("date", "subject"),
    columns=(
        DATE,
        Column("subject_type", "string", required=True, enum=SUBJECT_TYPES, description="What kind of id subject is."),
        Column("subject", "string", required=True, description="Id of the product."),
        *(
            Column(
                f"{act}{what}_{window}",
                "int64",
                minimum=0,
                description="Null where no definition asks for the window.",
            )
            for act in COUNTED
            for what in ("", "_visitors")
            for window in WINDOWS
        ),
        Column(
            "definition_versions", "json", required=True, description="Definitions that count, with their versions."
        ),
    ),
)

SIGNAL_SNAPSHOTS = Contract(
    name="signal_snapshots",
    description=(
        "Value and state of a signal at the end of a day. Counts over the usual windows are columns of signal_windows"
        " instead. No row says that there is nothing to say: no stock that runs out (stock_runway_days), no cart"
        " (cart_pressure), no rank, no risk, no demand yet."
    ),
    primary_key=("date", "signal_id", "subject", "place"),
    columns=(
        DATE,
        Column("signal_id", "string", required=True, description="Which signal, with its window."),
        Column("subject_type", "string", required=True, enum=SUBJECT_TYPES, description="What kind of id subject is."),
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
        Column("place", "string", description="o: and an outlet, or g: and a group; null for the whole tenant."),
    ),
)

SIGNAL_CROSSINGS = Contract(
    name="signal_crossings",
    version="1.1",
    description="A change of state, at an instant of the data; suppressed ones are kept with the cause.",
    primary_key=("date", "crossing_id"),
    columns=(
        DATE,
        Column(
            "crossing_id", "string", required=True, description="Hash of tenant, signal, subject, state and instant."
        ),
        Column("signal_id", "string", required=True, description="Which signal, with its window."),
        Column("subject_type", "string", required=True, enum=SUBJECT_TYPES, description="What kind of id subject is."),
        Column(
            "subject", "string", required=True, description="Id of the visitor, customer or product, by subject_type."
        ),
        Column("from_state", "string", description="State before; null for the first."),
        Column("to_state", "string", required=True, description="State after."),
        Column("value_before", "ratio", description="Value before the crossing."),
        Column("value_after", "ratio", description="Value after the crossing."),
        Column("threshold", "ratio", description="Bound that was crossed, where there is one."),
        Column("direction", "string", required=True, enum=("up", "down"), description="Which way."),
        Column("effective_at", "timestamp", required=True, description="Instant of the data at which it became true."),
        Column(
            "suppressed_by",
            "string",
            enum=("cooldown", "dwell"),
            description="Why nobody was told; null where it counts.",
        ),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
        Column(
            "place",
            "string",
            description="o: and an outlet, or g: and a group; null for the whole tenant.",
            since="1.1",
        ),
    ),
)

SIGNAL_METRICS = Contract(
    name="signal_metrics",
    description="How the product signals fare on a day, over all places: coverage, crossings, products by state.",
    primary_key=("date", "metric", "signal_id", "state"),
    columns=(
        DATE,
        Column(
            "metric",
            "string",
            required=True,
            enum=("demand_coverage", "signals_crossed", "signals_suppressed", "sku_in_state"),
            description="demand_coverage: products with at least one signal that qualifies.",
        ),
        Column("signal_id", "string", description="Which signal; null for all together."),
        Column("state", "string", description="For sku_in_state."),
        Column("count", "int64", required=True, minimum=0, description="How many."),
        Column("of", "int64", required=True, minimum=0, description="What the count is a part of."),
        Column("share", "ratio", description="count over of; null where that is 0."),
    ),
)

VISITOR_SIGNAL_SNAPSHOTS = Contract(
    name="visitor_signal_snapshots",
    description="Value and state of a signal of a visitor or a customer at the end of a day.",
    primary_key=("date", "signal_id", "subject", "item"),
    columns=(
        DATE,
        Column("signal_id", "string", required=True, description="Which signal."),
        Column(
            "subject_type",
            "string",
            required=True,
            enum=("visitor", "customer"),
            description="What kind of id subject is.",
        ),
        Column("subject", "string", required=True, description="Id of the visitor or customer, by subject_type."),
        Column("item", "string", description="Category of an affinity, product of a top signal; null for the others."),
        Column("value", "ratio", description="One division of two integers; null where there is only a state."),
        Column("state", "string", description="State, for signals that have one."),
        Column(
            "value_prev",
            "ratio",
            description="Value at the end of the day before; of an affinity, that of the same category.",
        ),
        Column("state_prev", "string", description="State at the end of the day before."),
        Column("inputs_hash", "string", required=True, description="Hash of the integers behind the value."),
        Column("definition_version", "string", required=True, description="Hash of the resolved definition."),
        Column("instant", "timestamp", description="For next_order_due_at: when the next order is due."),
    ),
)

VISITOR_SIGNAL_CROSSINGS = Contract(
    name="visitor_signal_crossings",
    description="A change of state of a visitor's or customer's signal; suppressed ones are kept with the cause.",
    primary_key=("date", "crossing_id"),
    columns=tuple(column for column in SIGNAL_CROSSINGS.columns if column.name != "place"),
)
