"""Sending batches: one that is refused is halved until the event that spoils it is alone; the others go on.

The caller posts, keeps the clock, and remembers what came of each event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pipelines.delivery.cdp.batches import Prepared
from pipelines.delivery.cdp.hub import Hub

#: Body -> HTTP status, None where there was no answer.
Post = Callable[[bytes], Awaitable[int | None]]


@dataclass
class Sent:
    """What came of the events of one batch, by message id.

    Attributes:
        accepted: taken.
        refused: never taken, with the status of the request in which it was alone.
        later: to be tried again, with the last status.
        paused: status after which nothing was sent any more; None where all was.
    """

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    later: dict[str, int | None] = field(default_factory=dict)
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
        ids = [event.message_id for event in events]
        if sent.paused is not None:
            sent.later |= dict.fromkeys(ids, sent.paused)
            continue
        status = await post(hub.body([part for event in events for part in event.parts], sent_at()))
        verdict = hub.judge(status)
        if verdict == "accepted":
            sent.accepted += ids
        elif verdict == "split" and status is not None:
            middle = len(events) // 2
            # The first half is sent first, so that events keep their order.
            waiting += [events[middle:], events[:middle]] if middle else []
            sent.refused |= {} if middle else {ids[0]: status}
        else:
            sent.later |= dict.fromkeys(ids, status)
            sent.paused = status if verdict == "pause" else None
    return sent
