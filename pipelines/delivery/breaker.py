"""Whether an endpoint is asked at all: closed, open for a while, or half-open, when one probe is sent. Pure.

Failures are counted by endpoint; what becomes of a delivery is ``retry``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.delivery.instants import SECOND
from pipelines.delivery.retry import judge

#: Failures in a row that open it.
THRESHOLD = 10
#: How long it stays open at first; each failed probe doubles it.
FIRST_SECONDS = 30
LONGEST_SECONDS = 300
#: Answers of a receiver that lives and asks for less; the pause of the endpoint heeds them.
_NEUTRAL = frozenset({429})


@dataclass(frozen=True)
class Health:
    """What the last attempts at an endpoint say; instants in microseconds.

    Attributes:
        failures: in a row.
        failing_since: the first of them.
        open_until: nothing is sent until then, and afterwards one probe at a time; None while it is closed.
    """

    failures: int = 0
    failing_since: int | None = None
    open_until: int | None = None


def after(health: Health, status: int | None, error_class: str | None, begun: int, finished: int) -> Health:
    """What is known after an attempt.

    Args:
        health: before it.
        status: HTTP status; None without an answer.
        error_class: why there is none; what was never sent says nothing of the endpoint.
        begun: when the attempt was made. One from before the breaker opened is no probe, so it does not prolong it.
        finished: when it failed or was answered.
    """
    if status in _NEUTRAL:
        return health
    if judge(status, error_class) != "retry":
        return health if status is None else Health()
    if health.open_until is not None and begun < health.open_until:
        return health
    failures = health.failures + 1
    since = health.failing_since or begun
    if failures < THRESHOLD:
        return Health(failures, since)
    # Shifting by more than a few bits only makes a large number that the limit cuts.
    seconds = min(FIRST_SECONDS << min(failures - THRESHOLD, 8), LONGEST_SECONDS)
    return Health(failures, since, finished + seconds * SECOND)
