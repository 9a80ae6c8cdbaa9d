"""Events that leave over HTTP: their types, the envelope (CloudEvents 1.0) and the contract of each ``data`` object.

A contract here is versioned like a table's: a minor version only adds optional fields. How events are signed and sent
is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from schemas.contract import Column
from schemas.tables import CONTEXT

JsonType = Literal["string", "integer", "number", "boolean", "array", "object"]

SPECVERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
MAX_BYTES = 64 * 1024

#: Envelope attributes in the order in which they are written.
ENVELOPE: tuple[str, ...] = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "recordedtime",
    "datacontenttype",
    "dataschema",
    "partitionkey",
    "sequence",
    "timestamp",
    "data",
)

#: Digits after the point of a currency's amounts, where they are not two (ISO 4217).
EXPONENTS: dict[str, int] = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
DEFAULT_EXPONENT = 2


@dataclass(frozen=True)
class Field:
    """One field of a ``data`` object.

    Attributes:
        name: key in the object.
        type: JSON type.
        required: always present.
        nullable: may be present as null.
        format: JSON Schema format of a string.
        description: one sentence, with the unit.
    """

    name: str
    type: JsonType
    required: bool = False
    nullable: bool = False
    format: str | None = None
    description: str = ""


@dataclass(frozen=True)
class EventType:
    """A kind of event with the contract of its data.

    Attributes:
        name: the envelope's ``type``.
        fields: of ``data``; what is not listed may be ignored by a reader.
        version: ``major.minor`` of the contract.
        description: when it is sent.
        retracts: the type that it takes back, for a retraction.
    """

    name: str
    fields: tuple[Field, ...]
    description: str
    version: str = "1.0"
    retracts: str | None = None


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


_SUPERSEDES = Field("supersedes", "string", required=True, description="Id of the event that is taken back.")
_COHORT = (
    Field("cohort_id", "string", required=True, description="Cohort."),
    Field("definition_version", "string", required=True, description="Version of the cohort's definition."),
    Field("transition_id", "string", required=True, description="The entry or exit, the same in every destination."),
    Field("flockr_vid", "string", required=True, nullable=True, description="Visitor; null without a link."),
    Field("external_id", "string", description="Customer, where linked."),
    Field("caused_by", "string", description="What happened."),
    *context_fields(),
)
_ENDPOINT = (
    Field("endpoint_id", "string", required=True, description="Endpoint that the event is about."),
    Field("reason", "string", description="Why."),
)

EVENT_TYPES: dict[str, EventType] = {
    kind.name: kind
    for kind in (
        EventType("cohort.entered", _COHORT, "A visitor or customer entered a cohort."),
        EventType("cohort.exited", _COHORT, "A visitor or customer left a cohort."),
        EventType(
            "cohort.entry_retracted",
            (*_COHORT, _SUPERSEDES),
            "Late data shows that an entry which was told did not happen.",
            retracts="cohort.entered",
        ),
        EventType(
            "cohort.exit_retracted",
            (*_COHORT, _SUPERSEDES),
            "Late data shows that an exit which was told did not happen.",
            retracts="cohort.exited",
        ),
        EventType("endpoint.test", _ENDPOINT, "Somebody asked for a test of an endpoint; sent to no other."),
    )
}


def schema_url(public_host: str, event_type: str) -> str:
    """Address of the JSON Schema of a type's ``data``, with its version."""
    return f"https://{public_host}/schemas/events/{event_type}/{EVENT_TYPES[event_type].version}.json"


def json_schema(public_host: str, event_type: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a type's ``data``; unknown fields are allowed, since minor versions add them."""
    kind = EVENT_TYPES[event_type]
    properties = {field.name: _property(field) for field in kind.fields}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_url(public_host, event_type),
        "title": event_type,
        "description": kind.description,
        "type": "object",
        "properties": properties,
        "required": [field.name for field in kind.fields if field.required],
        "additionalProperties": True,
    }


def _property(field: Field) -> dict[str, Any]:
    kind: Any = [field.type, "null"] if field.nullable else field.type
    shown: dict[str, Any] = {"type": kind, "description": field.description}
    if field.format:
        shown["format"] = field.format
    return shown
