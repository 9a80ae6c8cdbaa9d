"""Segment's HTTP API, and RudderStack's, which takes the same events: ``track``, and ``identify`` for traits.

``sentAt`` is that of the attempt: frozen at the first one, it would shift the timestamps of a late retry.
Limits: Segment answers 200 above them and drops the events, so that they are kept here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.delivery.cdp.hub import LIBRARY, Hub, Limits, basic
from pipelines.delivery.cdp.track import Track

_OPEN, _MIDDLE, _CLOSE = b'{"batch":[', b'],"sentAt":"', b'"}'
_INSTANT_BYTES = len("2026-01-01T00:00:00.000000Z")
#: Hosts by region; of another region's Segment answers 200 and keeps nothing.
SEGMENT_HOSTS = {"us": "https://api.segment.io", "eu": "https://events.eu1.segmentapis.com"}


def items(track: Track, settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """A ``track`` call, and an ``identify`` call before it where traits are wanted (``settings["traits"]``)."""
    who = {
        **({"anonymousId": track.anonymous_id} if track.anonymous_id else {}),
        **({"userId": track.user_id} if track.user_id else {}),
    }
    shared = {"timestamp": track.instant, "context": {"library": LIBRARY}, "integrations": {}}
    told = {
        "type": "track",
        "messageId": track.message_id,
        **who,
        "event": track.name,
        "properties": dict(track.properties),
        **shared,
    }
    if not (track.trait and settings.get("traits")):
        return [told]
    known = {"type": "identify", "messageId": f"{track.message_id}:trait", **who}
    return [{**known, "traits": dict([track.trait]), **shared}, told]


def rudderstack_items(track: Track, settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """The same, with traits in the ``context``, where RudderStack looks for them."""
    *known, told = items(track, settings)
    return [*map(_with_traits_in_context, known), told]


def _with_traits_in_context(known: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in known.items() if key != "traits"}
    return {**rest, "context": {**known["context"], "traits": known["traits"]}}


def body(parts: Sequence[bytes], sent_at: str) -> bytes:
    """A batch with the instant of this attempt."""
    return _OPEN + b",".join(parts) + _MIDDLE + sent_at.encode() + _CLOSE


_OVERHEAD = len(_OPEN + _MIDDLE + _CLOSE) + _INSTANT_BYTES

SEGMENT = Hub("segment", Limits(2500, 32_000, 500_000), items, body, _OVERHEAD, "/v1/batch", basic)
#: 404 says that the source is switched off: every later event would be lost as well.
RUDDERSTACK = Hub(
    "rudderstack",
    Limits(2500, 32_000, 4_000_000),
    rudderstack_items,
    body,
    _OVERHEAD,
    "/v1/batch",
    basic,
    {404: "source_off"},
)
