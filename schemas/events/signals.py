"""Events about signals: a product, a visitor or a customer came to another state."""

from __future__ import annotations

from schemas.events.cohorts import SUPERSEDES
from schemas.events.model import EventType, Field
from schemas.tables import SUBJECT_TYPES

_FIELDS = (
    Field("signal_id", "string", required=True, description="Signal, with its window."),
    Field("definition_version", "string", required=True, description="Version of the signal's definition."),
    Field("crossing_id", "string", required=True, description="The crossing, the same in every destination."),
    Field("subject_type", "string", required=True, enum=SUBJECT_TYPES, description="What the signal is about."),
    Field("product_id", "string", description="Product, for a product's signal."),
    Field("flockr_vid", "string", nullable=True, description="Visitor; null for a customer without a link."),
    Field("external_id", "string", description="Customer, where linked."),
    Field("outlet_id", "string", description="Outlet, for a signal of one."),
    Field("group_id", "string", description="Group of outlets, for a signal of one."),
    Field("from_state", "string", description="State before; absent for the first."),
    Field("to_state", "string", required=True, description="State after."),
    Field("value_before", "number", description="Value before."),
    Field("value_after", "number", description="Value after."),
    Field("threshold", "number", description="Bound that was crossed, where there is one."),
    Field("direction", "string", required=True, enum=("up", "down"), description="Which way."),
)
_SUBJECT = "product:sku-2"
_CROSSED = {
    "signal_id": "scarcity_state",
    "definition_version": "b1c09f3e5a7d2468",
    "crossing_id": "71f0c3b8a95e4d26870b1e3f5c9a2d64",
    "subject_type": "product",
    "product_id": "sku-2",
    "from_state": "low",
    "to_state": "critical",
    "value_before": 4.5,
    "value_after": 1.5,
    "threshold": 2.0,
    "direction": "down",
}

SIGNAL_EVENTS: tuple[EventType, ...] = (
    EventType(
        "signal.threshold_crossed",
        _FIELDS,
        "A signal came to another state. What a cooldown or a dwell time holds back is not told.",
        _SUBJECT,
        _CROSSED,
    ),
    EventType(
        "signal.crossing_retracted",
        (*_FIELDS, SUPERSEDES),
        "Late data shows that a crossing which was told did not happen.",
        _SUBJECT,
        {**_CROSSED, "supersedes": "5f1d7a84c3b2906e1d4f8a7b6c5e3d21"},
        retracts="signal.threshold_crossed",
    ),
)
