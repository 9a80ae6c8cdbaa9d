"""mParticle's Events API: one batch per event, many batches in a request.

Attributes are scalars, so lists are JSON text. A request is answered 202 even where some of its batches are refused;
what an answer says of them is heeded, and an answer that says nothing of them is taken as a yes to all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.delivery.cdp.hub import Hub, Limits, basic, encoded
from pipelines.delivery.cdp.track import Track

PODS = ("us1", "us2", "eu1", "au1")


def host(pod: str) -> str:
    """Host of the account's pod."""
    return f"https://s2s.{pod}.mparticle.com"


def items(track: Track, settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """The batch of an event; the trait, where wanted, is a user attribute of it."""
    attributes = {key: _scalar(value) for key, value in track.properties.items()}
    if track.anonymous_id:
        attributes["flockr_vid"] = track.anonymous_id
    event = {
        "event_type": "custom_event",
        "data": {
            "event_name": track.name,
            "custom_event_type": "other",
            "source_message_id": track.message_id,
            "timestamp_unixtime_ms": track.at // 1000,
            "custom_attributes": attributes,
        },
    }
    who = {
        **({"other": track.anonymous_id} if track.anonymous_id else {}),
        **({"customer_id": track.user_id} if track.user_id else {}),
    }
    batch: dict[str, Any] = {
        "source_request_id": track.message_id,
        "environment": settings.get("environment", "production"),
        "events": [event],
        "user_identities": who,
    }
    if track.trait and settings.get("traits"):
        name, value = track.trait
        batch["user_attributes"] = {name: "true" if value else "false"}
    return [batch]


def body(parts: Sequence[bytes], sent_at: str) -> bytes:
    """An array of batches; the instant of the attempt has no place in it."""
    return b"[" + b",".join(parts) + b"]"


def headers(secret: str) -> dict[str, str]:
    """By ``key:secret``."""
    key, _, own = secret.partition(":")
    return basic(key, own)


def statuses(answer: bytes, number: int) -> list[int] | None:
    """HTTP status of each batch of a request; None where the answer has no list of just that many.

    The list may be the answer or a field of it. The names of its fields are not documented, so any spelling of
    ``status`` and ``status code`` is read.
    """
    try:
        said = json.loads(answer)
    except ValueError:
        return None
    lists = [said] if isinstance(said, list) else list(said.values()) if isinstance(said, dict) else []
    for found in lists:
        read = [_status(item) for item in found] if isinstance(found, list) else []
        known = [status for status in read if status is not None]
        if number and len(known) == len(read) == number:
            return known
    return None


def _status(item: Any) -> int | None:
    if not isinstance(item, dict):
        return None
    plain = {str(key).lower().replace("_", ""): value for key, value in item.items()}
    found = plain.get("statuscode", plain.get("status"))
    return found if isinstance(found, int) and 100 <= found < 600 else None


def _scalar(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else encoded(value).decode()


MPARTICLE = Hub(
    "mparticle", Limits(100, 128_000, 256_000), items, body, 2, "/v2/bulkevents", headers, statuses=statuses
)
