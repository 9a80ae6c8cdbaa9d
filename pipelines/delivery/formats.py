"""The body of a request as an endpoint wants it: CloudEvents or Flock's shape A, one event or a batch.

Pure: signatures and other headers are ``request``'s. A body is made anew for each attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.delivery import flock
from pipelines.delivery.envelope import Event, TooLargeError, encode, envelope
from pipelines.storage.hashing import identifier
from schemas.events import BATCH_CONTENT_TYPE, CONTENT_TYPE, LARGE_BYTES, MAX_BYTES

FORMATS = ("cloudevents", "flock")
MOST_IN_BATCH = 100
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """How an endpoint wants its bodies.

    Attributes:
        format: one of ``FORMATS``.
        batch_max: events in one request at most; 1 for requests without batches.
    """

    format: str = "cloudevents"
    batch_max: int = 1


@dataclass(frozen=True)
class Message:
    """What is signed and posted.

    Attributes:
        message_id: the event's id, or the id of a batch, which follows from those of its events.
        content_type: of the body.
        body: bytes.
    """

    message_id: str
    content_type: str
    body: bytes


def fitting(events: Sequence[Event], manner: Manner, public_host: str, timestamp: int) -> list[tuple[int, ...]]:
    """Positions of the events of each request, in order: as many as the endpoint takes and as fit into 64 KiB."""
    if manner.batch_max == 1:
        return [(position,) for position in range(len(events))]
    groups: list[list[int]] = []
    room = 0
    for position, event in enumerate(events):
        size = _size(event, manner, public_host, timestamp) + 1
        if not groups or len(groups[-1]) == manner.batch_max or size > room:
            groups.append([])
            room = MAX_BYTES - 1
        groups[-1].append(position)
        room -= size
    return [tuple(group) for group in groups]


def message(events: Sequence[Event], manner: Manner, public_host: str, timestamp: int) -> Message:
    """The message of one attempt.

    Args:
        events: one, or several where the endpoint takes batches.
        manner: what the endpoint asked for.
        public_host: host that names the source and serves the schemas.
        timestamp: seconds since the epoch of this attempt.

    Raises:
        TooLargeError: it does not fit into 64 KiB.
        ValueError: a number of the data is not finite.
    """
    bodies = [_body(event, manner, public_host, timestamp) for event in events]
    if manner.batch_max == 1:
        kind = flock.CONTENT_TYPE if manner.format == "flock" else CONTENT_TYPE
        return Message(events[0].event_id, kind, bodies[0])
    body = b"[" + b",".join(bodies) + b"]"
    if len(body) > MAX_BYTES:
        raise TooLargeError(f"a batch has {len(body)} bytes, more than the {MAX_BYTES} of a request")
    ids = identifier(*(event.event_id for event in events))
    return Message(f"batch_{ids}", BATCH_CONTENT_TYPE, body)


def _body(event: Event, manner: Manner, public_host: str, timestamp: int) -> bytes:
    body = encode(_shaped(event, manner, public_host, timestamp))
    if len(body) > LARGE_BYTES:
        shown = "event %s (%s) has %d bytes; some receivers take no more than %d"
        LOG.warning(shown, event.event_id, event.type, len(body), LARGE_BYTES)
    return body


def _shaped(event: Event, manner: Manner, public_host: str, timestamp: int) -> dict[str, Any]:
    if manner.format == "flock":
        return flock.flock_body(event, timestamp)
    return envelope(event, public_host, timestamp)


def _size(event: Event, manner: Manner, public_host: str, timestamp: int) -> int:
    """Bytes of an event's body; of one that cannot be written as much as a request has, so that it is alone."""
    try:
        return len(encode(_shaped(event, manner, public_host, timestamp)))
    except (TooLargeError, ValueError):
        return MAX_BYTES
