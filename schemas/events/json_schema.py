"""JSON Schema (2020-12) of an event's ``data``."""

from __future__ import annotations

from typing import Any

from schemas.events.model import EventType, Field

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def data_schema(kind: EventType, address: str) -> dict[str, Any]:
    """The schema of one type; ``address`` is its ``$id``. Unknown fields are allowed, since minor versions add them."""
    return {
        "$schema": DIALECT,
        "$id": address,
        "title": kind.name,
        "description": kind.description,
        "type": "object",
        "properties": {field.name: _property(field) for field in kind.fields},
        "required": [field.name for field in kind.fields if field.required],
        "additionalProperties": True,
    }


def _property(field: Field) -> dict[str, Any]:
    kind: Any = [field.type, "null"] if field.nullable else field.type
    shown: dict[str, Any] = {"type": kind, "description": field.description}
    if field.format:
        shown["format"] = field.format
    if field.enum:
        shown["enum"] = [*field.enum, *([None] if field.nullable else [])]
    return shown
