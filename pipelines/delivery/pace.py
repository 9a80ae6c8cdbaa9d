"""How many attempts an endpoint's rate allows now. Pure; the state is one instant, so that all workers share it."""

from __future__ import annotations

from pipelines.delivery.instants import SECOND

#: Attempts of so long may begin together, so that a high rate needs no look at the table for each.
BURST = SECOND // 10


def allowed(rate: int | None, paced_until: int | None, now: int, wanted: int) -> int:
    """How many of ``wanted`` attempts may begin.

    Args:
        rate: attempts a second; None for no limit.
        paced_until: up to where the attempts that were begun fill the time at that rate, microseconds.
        now: microseconds.
        wanted: at most so many are asked for.
    """
    if rate is None:
        return wanted
    gap = SECOND // rate
    reached = max(paced_until or 0, now)
    return max(0, min(wanted, (now + max(gap, BURST) - reached) // gap))


def reached(rate: int, paced_until: int | None, now: int, begun: int) -> int:
    """The new ``paced_until`` after so many attempts were begun."""
    return max(paced_until or 0, now) + begun * (SECOND // rate)
