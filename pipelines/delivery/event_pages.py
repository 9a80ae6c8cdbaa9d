"""Pages about events for those who receive them: a JSON Schema and an example of each type, and a list of all.

Made from ``schemas.events`` and the code that writes bodies, so that they cannot differ from what is sent.
"""

from __future__ import annotations

import json
from typing import Any

from pipelines.delivery.envelope import Event, envelope
from pipelines.delivery.flock import flock_body
from schemas.events import ENVELOPE, EVENT_TYPES, MAX_BYTES, EventType, json_schema
from schemas.events.json_schema import DIALECT

HOST = "murmuration.example"
_TENANT = "demo"
_EVENT_ID = "8d3c1f60a7b94e25d0c6f3e81b7a5942"
_EFFECTIVE, _RECORDED, _ATTEMPT = 1767611910123000, 1767617470501000, 1767617471
_SEQUENCE = 42
_GROUPS = {
    "cohort": "Cohorts",
    "signal": "Signals",
    "export": "Files",
    "campaign": "Referral programme",
    "referrer": "Referral programme",
    "invitee": "Referral programme",
    "referral": "Referral programme",
    "reward": "Referral programme",
    "endpoint": "Delivery itself",
    "delivery": "Delivery itself",
}
_INTRODUCTION = f"""# Events

Every type of event that a [webhook](webhooks.md) can carry, made by `make docs` from the definitions in
`schemas/events`. `data` is what differs between them; its schema is also where `dataschema` points. Minor versions add
fields, so a reader ignores what it does not know. A body has at most {MAX_BYTES // 1024} KiB.

The envelope is [`envelope.schema.json`](events/envelope.schema.json). `endpoint.*` and `delivery.*` are sent only where
an endpoint asks for them by name or group; `*` is every other type.
"""


def pages() -> dict[str, str]:
    """Text of each page by its path below ``docs``."""
    found = {"webhook-events.md": _listing(), "events/envelope.schema.json": _json(envelope_schema())}
    for name in EVENT_TYPES:
        found[f"events/{name}.schema.json"] = _json(json_schema(HOST, name))
        found[f"events/{name}.example.json"] = _json(example(name))
    return found


def example(name: str) -> dict[str, Any]:
    """A whole event of a type as it is sent."""
    return envelope(_event(EVENT_TYPES[name]), HOST, _ATTEMPT)


def envelope_schema() -> dict[str, Any]:
    """JSON Schema of the attributes around ``data``."""
    text = {"type": "string", "minLength": 1}
    instant = {"type": "string", "format": "date-time"}
    special: dict[str, dict[str, Any]] = {
        "specversion": {"const": "1.0"},
        "source": {"type": "string", "format": "uri"},
        "type": {"enum": list(EVENT_TYPES)},
        "time": {**instant, "description": "When it became true, by the data."},
        "recordedtime": {**instant, "description": "When it was noticed."},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"type": "string", "format": "uri", "description": "Schema of data, with its version."},
        "partitionkey": {**text, "description": "The subject: events of one key are in order of sequence."},
        "sequence": {"type": "string", "pattern": "^[0-9]{18}$", "description": "A greater one was told later."},
        "timestamp": {"type": "integer", "description": "Seconds since the epoch of this attempt; signed anew."},
        "id": {**text, "description": "The same on every attempt and replay: drop what you have seen."},
        "data": {"type": "object"},
    }
    return {
        "$schema": DIALECT,
        "$id": f"https://{HOST}/schemas/events/envelope/1.0.json",
        "title": "CloudEvents 1.0 structured JSON, as Murmuration sends it",
        "type": "object",
        "properties": {name: special.get(name, text) for name in ENVELOPE},
        "required": list(ENVELOPE),
        "additionalProperties": True,
    }


def _event(kind: EventType) -> Event:
    data = json.dumps(kind.example, sort_keys=True, ensure_ascii=False)
    return Event(_EVENT_ID, _TENANT, kind.name, kind.subject, _EFFECTIVE, _RECORDED, _SEQUENCE, data)


def _listing() -> str:
    parts = [_INTRODUCTION]
    shown = ""
    for name, kind in EVENT_TYPES.items():
        group = _GROUPS[name.split(".")[0]]
        if group != shown:
            parts.append(f"\n## {group}\n\n| type | sent when | data |\n| --- | --- | --- |\n")
            shown = group
        links = f"[schema](events/{name}.schema.json), [example](events/{name}.example.json)"
        parts.append(f"| `{name}` | {kind.description} | {links} |\n")
    flock = _json(flock_body(_event(EVENT_TYPES["referral.accepted"]), _ATTEMPT))
    parts.append(
        "\n## Flock's shape\n\nAn endpoint with `format: flock` gets shape A instead, signed in the same ways:\n\n"
        f"```json\n{flock}```\n"
    )
    return "".join(parts)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
