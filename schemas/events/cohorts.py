"""Events about cohorts: who entered and left, and what of that late data took back."""

from __future__ import annotations

from schemas.contract import Column
from schemas.events.model import EventType, Field, JsonType
from schemas.tables import CONTEXT

SUPERSEDES = Field("supersedes", "string", required=True, description="Id of the event that is taken back.")


def context_fields(columns: tuple[Column, ...] = CONTEXT) -> tuple[Field, ...]:
    """Fields that the context columns of a cohort become: money twice, lists as arrays, instants as text."""
    return tuple(field for column in columns for field in _context_fields(column))


def _context_fields(column: Column) -> tuple[Field, ...]:
    note = column.description
    if column.name.endswith("_minor"):
        return (
            Field(column.name.removesuffix("_minor"), "string", description="Decimal amount; only with a currency."),
            Field(column.name, "integer", description="Minor units."),
        )
    if column.kind == "json":
        return (Field(column.name, "array", description=note),)
    if column.kind == "timestamp":
        return (Field(column.name, "string", format="date-time", description=note),)
    if column.kind in ("int64", "quantity"):
        return (Field(column.name, "integer", description=note),)
    kinds: dict[str, JsonType] = {"ratio": "number", "boolean": "boolean"}
    return (Field(column.name, kinds.get(column.kind, "string"), description=note),)


_FIELDS = (
    Field("cohort_id", "string", required=True, description="Cohort."),
    Field("definition_version", "string", required=True, description="Version of the cohort's definition."),
    Field("transition_id", "string", required=True, description="The entry or exit, the same in every destination."),
    Field("flockr_vid", "string", required=True, nullable=True, description="Visitor; null without a link."),
    Field("external_id", "string", description="Customer, where linked."),
    Field("caused_by", "string", description="What happened."),
    *context_fields(),
)
_SUBJECT = "fv_8c1f"
_ENTERED = {
    "cohort_id": "high_value_cart_abandoner",
    "definition_version": "3f8a61c09b7d2e54",
    "transition_id": "9b2f4c81d7e05a3661f0c8e2b4d97a15",
    "flockr_vid": _SUBJECT,
    "external_id": "c-1042",
    "caused_by": "silence",
    "cart_total_value": "249.50",
    "cart_total_value_minor": 24950,
    "currency": "GBP",
    "cart_product_ids": ["sku-1", "sku-2"],
    "low_stock_product_ids": ["sku-2"],
    "top_signal": "scarcity",
}
_EXITED = {**_ENTERED, "transition_id": "0e6d35b7a9184cf2b1d7e8093a5c6f42", "caused_by": "order"}
_TOLD = {"supersedes": "5f1d7a84c3b2906e1d4f8a7b6c5e3d21"}

COHORT_EVENTS: tuple[EventType, ...] = (
    EventType("cohort.entered", _FIELDS, "A visitor or customer entered a cohort.", _SUBJECT, _ENTERED),
    EventType("cohort.exited", _FIELDS, "A visitor or customer left a cohort.", _SUBJECT, _EXITED),
    EventType(
        "cohort.entry_retracted",
        (*_FIELDS, SUPERSEDES),
        "Late data shows that an entry which was told did not happen.",
        _SUBJECT,
        {**_ENTERED, **_TOLD},
        retracts="cohort.entered",
    ),
    EventType(
        "cohort.exit_retracted",
        (*_FIELDS, SUPERSEDES),
        "Late data shows that an exit which was told did not happen.",
        _SUBJECT,
        {**_EXITED, **_TOLD},
        retracts="cohort.exited",
    ),
)
