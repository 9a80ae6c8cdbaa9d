"""Who comes and goes at the end of a day: entry and exit of a cohort with dwell, cooldown and time to live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.cohorts.daily.space import Flags, Ints, Space
from pipelines.cohorts.daily.state import NONE
from pipelines.cohorts.language.rules import Cohort


@dataclass(frozen=True)
class Moves:
    """Rows of a space that moved on a day.

    Attributes:
        entered: those who entered.
        exited: those who left.
        began: when those who left had entered, microseconds.
        held_in: those who would have left but for the dwell, told on the first day only.
        held_out: those who would have entered but for the cooldown, told on the first day only.
    """

    entered: Ints
    exited: Ints
    began: Ints
    held_in: Ints
    held_out: Ints


def column(cohort: Cohort, name: str) -> str:
    """Column of a cohort's latch: ``entered`` and ``left`` (instants), ``held`` and ``spent`` (flags)."""
    return f"{cohort.id}.{name}"


def have(cohort: Cohort, space: Space) -> None:
    """Have the columns of a cohort's latch."""
    for name in ("entered", "left"):
        space.column(column(cohort, name), NONE)
    for name in ("held", "spent"):
        space.column(column(cohort, name), 0)


def members(cohort: Cohort, space: Space) -> Flags:
    """Who is in."""
    inside: Flags = space[column(cohort, "entered")] != NONE
    return inside


def move(cohort: Cohort, space: Space, enter: Flags, stay: Flags, at: int) -> Moves:
    """Take the cohort's members to an instant.

    Args:
        cohort: with its dwell, cooldown and ttl.
        space: with the latch of the instant before; changed in place.
        enter: where the rule of entry holds.
        stay: where the rule of staying holds.
        at: the instant, microseconds.
    """
    entered, left = space[column(cohort, "entered")], space[column(cohort, "left")]
    held, spent = space[column(cohort, "held")], space[column(cohort, "spent")]
    inside = entered != NONE
    spent[~enter] = 0
    over = inside & (at - entered >= cohort.param(cohort.ttl)) if cohort.ttl else np.zeros_like(inside)
    leave = (inside & ~enter & ~stay) | over
    come = ~inside & enter & (spent == 0)
    none = np.zeros_like(inside)
    held_in = leave & ~over & (at - entered < cohort.param(cohort.dwell)) if cohort.dwell else none
    held_out = come & (left != NONE) & (at - left < cohort.param(cohort.cooldown)) if cohort.cooldown else none
    leave, come = leave & ~held_in, come & ~held_out
    told = held != 0
    began = entered[leave]
    entered[leave], left[leave] = NONE, at
    spent[over] = 1
    entered[come] = at
    held[:] = held_in | held_out
    return Moves(
        np.flatnonzero(come),
        np.flatnonzero(leave),
        began,
        np.flatnonzero(held_in & ~told),
        np.flatnonzero(held_out & ~told),
    )
