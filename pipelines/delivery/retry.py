"""When a failed delivery is tried again: the schedule, jitter, ``Retry-After`` and the deadline. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

from pipelines.delivery.instants import SECOND, micros

#: Seconds after the first, second, ... failed attempt.
DELAYS = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 36000)
JITTER = 0.1
DEADLINE_SECONDS = 24 * 3600
#: An endpoint that does not say for how long is left alone so long at most: its other messages are younger.
UNASKED_PAUSE_SECONDS = 60
RETRIED_STATUS = frozenset({408, 425, 429})
PAUSING_STATUS = frozenset({429, 503})
GONE = 410

Verdict = Literal["delivered", "retry", "dead"]
#: Failures before any answer that another attempt does not change.
PERMANENT_ERRORS = frozenset(
    {"blocked_address", "blocked_url", "too_large", "invalid_event", "no_identity", "unreadable_secret"}
)


@dataclass(frozen=True)
class Decision:
    """What follows from one attempt.

    Attributes:
        verdict: delivered, tried again, or a dead letter.
        next_attempt_at: microseconds, for a retry.
        pause_until: microseconds until which nothing is sent to the endpoint.
        disable: nothing is sent to the endpoint any more, until somebody enables it.
        because: why it is disabled.
    """

    verdict: Verdict
    next_attempt_at: int | None = None
    pause_until: int | None = None
    disable: bool = False
    because: str = "gone"


def judge(status: int | None, error_class: str | None) -> Verdict:
    """Whether an answer, or the failure to get one, is success, worth another attempt, or final."""
    if status is None:
        return "dead" if error_class in PERMANENT_ERRORS else "retry"
    if 200 <= status < 300:
        return "delivered"
    return "retry" if status >= 500 or status in RETRIED_STATUS else "dead"


def decide(
    status: int | None,
    error_class: str | None,
    *,
    retry_after: str | None,
    attempts: int,
    first_attempt_at: int,
    now: int,
    jitter: float,
) -> Decision:
    """What to do after an attempt.

    Args:
        status: HTTP status; None without an answer.
        error_class: why there is none.
        retry_after: the header as received.
        attempts: how many were made, this one included.
        first_attempt_at: microseconds.
        now: microseconds.
        jitter: at least 0 and below 1, from a random source.
    """
    verdict = judge(status, error_class)
    if verdict != "retry":
        return Decision(verdict, disable=status == GONE)
    deadline = first_attempt_at + DEADLINE_SECONDS * SECOND
    asked = retry_after_micros(retry_after, now)
    if attempts > len(DELAYS) or now >= deadline:
        return Decision("dead", pause_until=_pause(status, asked, deadline))
    own = now + int(DELAYS[attempts - 1] * (1 + JITTER * jitter) * SECOND)
    brief = now + UNASKED_PAUSE_SECONDS * SECOND
    due = min(max(own, asked or 0), deadline)
    return Decision("retry", next_attempt_at=due, pause_until=_pause(status, asked or min(own, brief), deadline))


def _pause(status: int | None, until: int | None, deadline: int) -> int | None:
    return min(until, deadline) if status in PAUSING_STATUS and until else None


def retry_after_micros(header: str | None, now: int) -> int | None:
    """The instant that a ``Retry-After`` names, in seconds or as a date; None for garbage and for the past."""
    text = (header or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # More digits than any clock has are as good as the deadline.
        return now + min(int(text[:12]), 10**9) * SECOND
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    found = micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    return found if found > now else None
