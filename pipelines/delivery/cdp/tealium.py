"""Tealium's HTTP API: flat events, up to ten in a request, behind a token that lasts half an hour.

Nothing is dropped there for its id, so ``flockr_event_id`` is what a reader tells copies by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.delivery.cdp.hub import Hub, Limits
from pipelines.delivery.cdp.track import Track

_OPEN, _CLOSE = b'{"shared":{},"events":[', b"]}"
#: Settings that every event carries, with the names that Tealium gives them.
ACCOUNT = {"account": "tealium_account", "profile": "tealium_profile", "datasource": "tealium_datasource"}


def items(track: Track, settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """An event with everything at the top; the trait, where wanted, beside the properties."""
    known = {name: settings[key] for key, name in ACCOUNT.items() if settings.get(key)}
    told: dict[str, Any] = {
        **known,
        "tealium_event": track.name,
        "tealium_visitor_id": track.anonymous_id or f"customer:{track.user_id}",
        "flockr_event_id": track.message_id,
        "flockr_event_time": track.instant,
        **track.properties,
    }
    if track.user_id:
        told["customer_id"] = track.user_id
    if track.trait and settings.get("traits"):
        name, value = track.trait
        told[name] = "true" if value else "false"
    return [told]


def body(parts: Sequence[bytes], sent_at: str) -> bytes:
    """Events of one request; the instant of the attempt has no place in it."""
    return _OPEN + b",".join(parts) + _CLOSE


def headers(secret: str) -> dict[str, str]:
    """By a token; how one is got is ``tokens``'s."""
    return {"Authorization": f"Bearer {secret}"}


TEALIUM = Hub(
    "tealium",
    Limits(10, 128_000, 1_000_000),
    items,
    body,
    len(_OPEN + _CLOSE),
    "/v3/collect/bulk-event",
    headers,
    tokens=True,
)
