"""Sending batches: one that is refused is halved until the event that spoils it is alone; the others go on.

The caller posts, keeps the clock, and remembers what came of each event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pipelines.delivery.cdp.batches import Prepared
from pipelines.delivery.cdp.hub import Hub


@dataclass(frozen=True)
class Said:
    """An answer to a request.

    Attributes:
        status: HTTP status; None where there was no answer.
        body: as it came.
    """

    status: int | None
    body: bytes = b""


#: The events of a request and its body -> what was answered; None where it was not sent, nor anything after it.
Post = Callable[[Sequence[Prepared], bytes], Awaitable[Said | None]]


@dataclass
class Sent:
    """What came of the events of one batch, by message id.

    Attributes:
        accepted: taken.
        refused: never taken, with the status of the request in which it was alone.
        later: to be tried again, with the last status.
        left: not sent any more, at least not once more; to be tried again.
        paused: status after which nothing was sent any more; None where all was.
    """

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    later: dict[str, int | None] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    paused: int | None = None


async def send(hub: Hub, batch: Sequence[Prepared], post: Post, sent_at: Callable[[], str]) -> Sent:
    """Send a batch, and the halves of what is refused.

    Args:
        hub: the platform.
        batch: of ``batches``.
        post: one request; never raises.
        sent_at: instant of each attempt, RFC 3339.
    """
    sent = Sent()
    waiting = [list(batch)]
    while waiting:
        events = waiting.pop()
        said = await post(events, hub.body([part for event in events for part in event.parts], sent_at()))
        if said is None:
            waiting.append(events)
            break
        if hub.judge(said.status) == "split" and len(events) > 1:
            middle = len(events) // 2
            # The first half is sent first, so that events keep their order.
            waiting += [events[middle:], events[:middle]]
        else:
            _remember(sent, hub, events, said)
        if sent.paused is not None:
            break
    sent.left += [event.message_id for events in reversed(waiting) for event in events]
    return sent


def _remember(sent: Sent, hub: Hub, events: Sequence[Prepared], said: Said) -> None:
    """What an answer means for each event of its request: behind a success there may be refusals."""
    parts = hub.statuses(said.body, len(events)) if hub.judge(said.status) == "accepted" else None
    statuses = [said.status] * len(events) if parts is None else parts
    for event, status in zip(events, statuses, strict=True):
        verdict = hub.judge(status)
        if verdict == "accepted":
            sent.accepted.append(event.message_id)
        elif verdict in ("split", "refused") and status is not None:
            sent.refused[event.message_id] = status
        else:
            sent.later[event.message_id] = status
            sent.paused = status if verdict == "pause" else sent.paused
