"""Events cut into requests that a platform takes whole: by number, by bytes of each, by bytes of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.delivery.cdp.hub import Hub, encoded
from pipelines.delivery.cdp.track import Track


@dataclass(frozen=True)
class Prepared:
    """An event that fits.

    Attributes:
        message_id: of the event.
        parts: its items as JSON.
    """

    message_id: str
    parts: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes in a body, commas included."""
        return sum(map(len, self.parts)) + len(self.parts)


def prepared(hub: Hub, tracks: Iterable[Track], settings: Mapping[str, str]) -> tuple[list[Prepared], dict[str, str]]:
    """Events as the platform takes them, and why others can never be sent, by message id.

    Reasons: ``no_identity``, ``too_large``, ``invalid_event``. One such event would have a whole batch refused.
    """
    found, refused = [], {}
    for track in tracks:
        if not (track.anonymous_id or track.user_id):
            refused[track.message_id] = "no_identity"
            continue
        try:
            parts = tuple(encoded(item) for item in hub.items(track, settings))
        except ValueError:
            refused[track.message_id] = "invalid_event"
            continue
        if max(map(len, parts)) > hub.limits.event_bytes:
            refused[track.message_id] = "too_large"
            continue
        found.append(Prepared(track.message_id, parts))
    return found, refused


def batches(hub: Hub, events: Sequence[Prepared]) -> list[list[Prepared]]:
    """The events of each request, in order; those of one event are never parted."""
    room = hub.limits.request_bytes - hub.request_overhead
    found: list[list[Prepared]] = []
    number, size = 0, 0
    for event in events:
        if not found or number + len(event.parts) > hub.limits.events or size + event.size > room:
            found.append([])
            number, size = 0, 0
        found[-1].append(event)
        number, size = number + len(event.parts), size + event.size
    return found
