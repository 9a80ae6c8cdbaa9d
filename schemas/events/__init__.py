"""Events that leave over HTTP: their types, the envelope (CloudEvents 1.0) and the contract of each ``data`` object.

A contract here is versioned like a table's: a minor version only adds optional fields. How events are signed and sent
is not here.
"""

from __future__ import annotations

from typing import Any

from schemas.events.cohorts import COHORT_EVENTS, context_fields
from schemas.events.exported import EXPORT_EVENTS
from schemas.events.json_schema import data_schema
from schemas.events.model import (
    BATCH_CONTENT_TYPE,
    CONTENT_TYPE,
    ENVELOPE,
    LARGE_BYTES,
    MAX_BYTES,
    SPECVERSION,
    EventType,
    Field,
)
from schemas.events.money import DEFAULT_EXPONENT, EXPONENTS
from schemas.events.operator import OPERATOR_EVENTS
from schemas.events.referral import REFERRAL_EVENTS
from schemas.events.signals import SIGNAL_EVENTS

EVENT_TYPES: dict[str, EventType] = {
    kind.name: kind for kind in (*COHORT_EVENTS, *SIGNAL_EVENTS, *EXPORT_EVENTS, *REFERRAL_EVENTS, *OPERATOR_EVENTS)
}


def schema_url(public_host: str, event_type: str) -> str:
    """Address of the JSON Schema of a type's ``data``, with its version."""
    return f"https://{public_host}/schemas/events/{event_type}/{EVENT_TYPES[event_type].version}.json"


def json_schema(public_host: str, event_type: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a type's ``data``; unknown fields are allowed, since minor versions add them."""
    return data_schema(EVENT_TYPES[event_type], schema_url(public_host, event_type))


__all__ = [
    "BATCH_CONTENT_TYPE",
    "CONTENT_TYPE",
    "DEFAULT_EXPONENT",
    "ENVELOPE",
    "EVENT_TYPES",
    "EXPONENTS",
    "LARGE_BYTES",
    "MAX_BYTES",
    "SPECVERSION",
    "EventType",
    "Field",
    "context_fields",
    "json_schema",
    "schema_url",
]
