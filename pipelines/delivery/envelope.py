"""The body of a request: one event as CloudEvents 1.0 structured JSON, made anew for each attempt."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pipelines.delivery.instants import rfc3339
from pipelines.errors import MurmurError
from schemas.events import MAX_BYTES, SPECVERSION, schema_url

SEQUENCE_DIGITS = 18


class TooLargeError(MurmurError):
    """An event does not fit into one request."""


class Event(NamedTuple):
    """One event of the outbox.

    Attributes:
        event_id: the same on every attempt and replay.
        tenant: whose.
        type: a name of ``schemas.events.EVENT_TYPES``.
        subject: visitor id, ``customer:<external_id>`` or ``product:<external_id>``.
        time: effective instant, microseconds since the epoch.
        recorded_time: when it was noticed, likewise.
        sequence: position in the order of telling.
        data: canonical JSON text.
    """

    event_id: str
    tenant: str
    type: str
    subject: str
    time: int
    recorded_time: int
    sequence: int
    data: str


def envelope(event: Event, public_host: str, timestamp: int) -> dict[str, Any]:
    """The CloudEvents attributes and data, in the order in which they are written.

    Args:
        event: what happened.
        public_host: host that names the source and serves the schemas.
        timestamp: seconds since the epoch of this attempt; signed with the rest.
    """
    return {
        "specversion": SPECVERSION,
        "id": event.event_id,
        "source": f"https://{public_host}/tenants/{event.tenant}",
        "type": event.type,
        "subject": event.subject,
        "time": rfc3339(event.time),
        "recordedtime": rfc3339(event.recorded_time),
        "datacontenttype": "application/json",
        "dataschema": schema_url(public_host, event.type),
        "partitionkey": event.subject,
        "sequence": str(event.sequence).zfill(SEQUENCE_DIGITS),
        "timestamp": timestamp,
        "data": json.loads(event.data),
    }


def encode(body: dict[str, Any]) -> bytes:
    """Compact JSON in UTF-8.

    Raises:
        ValueError: a number is not finite.
        TooLargeError: it is above 64 KiB.
    """
    data = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"event {body.get('id')} has {len(data)} bytes, more than the {MAX_BYTES} of a request")
    return data
