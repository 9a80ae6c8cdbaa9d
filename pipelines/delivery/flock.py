"""An event in Flock's shape A, for endpoints whose format is ``flock``: ``name, entity, entityId, data, timestamp``.

Ids of people and rewards of a referral event are nested as Flock nests them; other events keep their data. ``eventId``
and ``occurredAt`` are added to the data, since the shape has no other place for them.
"""

from __future__ import annotations

import json
from typing import Any

from pipelines.delivery.envelope import Event
from pipelines.delivery.instants import rfc3339

#: Keys of shape A in the order in which they are written.
SHAPE_A = ("name", "entity", "entityId", "data", "timestamp")
CONTENT_TYPE = "application/json; charset=utf-8"
#: Field of a referral event's data -> where shape A has it.
_NESTED = {
    "referrer_id": "referrer",
    "invitee_id": "invitee",
    "invitee_reward_id": "inviteeReward",
    "referrer_reward_id": "referrerReward",
}
_SUBJECTS = ("customer", "product", "export", "endpoint")


def flock_body(event: Event, timestamp: int) -> dict[str, Any]:
    """The body of one attempt; ``timestamp`` is in seconds since the epoch and signed with the rest."""
    data = json.loads(event.data)
    entity, entity_id = _entity(event.subject, data)
    shown = _referral(data) if "entity_id" in data else data
    return {
        "name": event.type,
        "entity": entity,
        "entityId": entity_id,
        "data": {**shown, "eventId": event.event_id, "occurredAt": rfc3339(event.time)},
        "timestamp": timestamp,
    }


def _entity(subject: str, data: dict[str, Any]) -> tuple[str, str]:
    if "entity_id" in data:
        return str(data["entity"]), str(data["entity_id"])
    kind, _, name = subject.partition(":")
    # The id of a visitor may hold a colon, so it is known by the data.
    if kind in _SUBJECTS and data.get("flockr_vid") != subject:
        return kind, name
    return "visitor", subject


def _referral(data: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"campaignId": data["campaign_id"]} if data.get("campaign_id") else {}
    return shown | {place: {"id": data[name]} for name, place in _NESTED.items() if data.get(name)}
