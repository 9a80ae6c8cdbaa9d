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
    """Column of a cohort's latch.

    ``entered`` and ``left`` are instants; ``held`` says who is held back, ``spent`` whose time ran out with the rule
    still true.
    """
    return f"{cohort.id}.{name}"


def have(cohort: Cohort, space: Space) -> None:
    """Have the columns of a cohort's latch; those of what the cohort does without would be spelled out for nobody."""
    space.column(column(cohort, "entered"), NONE)
    if cohort.cooldown:
        space.column(column(cohort, "left"), NONE)
    if cohort.cooldown or cohort.dwell:
        space.column(column(cohort, "held"), 0)
    if cohort.ttl:
        space.column(column(cohort, "spent"), 0)


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
    entered = space[column(cohort, "entered")]
    inside = entered != NONE
    leave, come = inside & ~enter & ~stay, enter & ~inside
    if cohort.ttl:
        spent = space[column(cohort, "spent")]
        spent[~enter] = 0
        over = inside & (at - entered >= cohort.param(cohort.ttl))
        leave, come = leave | over, come & (spent == 0)
        spent[over] = 1
    none = np.zeros(0, dtype=np.int64)
    held_in = held_out = none
    if cohort.dwell or cohort.cooldown:
        leave, come, held_in, held_out = _held_back(cohort, space, leave, come, at)
    gone = np.flatnonzero(leave)
    began = entered[gone]
    entered[gone], entered[come] = NONE, at
    if cohort.cooldown:
        space[column(cohort, "left")][gone] = at
    return Moves(np.flatnonzero(come), gone, began, held_in, held_out)


def _held_back(cohort: Cohort, space: Space, leave: Flags, come: Flags, at: int) -> tuple[Flags, Flags, Ints, Ints]:
    """Who leaves and who comes but for dwell and cooldown, and who is held back by them for the first time."""
    entered, held = space[column(cohort, "entered")], space[column(cohort, "held")]
    held_in = held_out = np.zeros_like(leave)
    if cohort.dwell:
        # The end of its time is the end, however short a stay that is.
        over = at - entered >= cohort.param(cohort.ttl) if cohort.ttl else np.zeros_like(leave)
        held_in = leave & ~over & (at - entered < cohort.param(cohort.dwell))
    if cohort.cooldown:
        left = space[column(cohort, "left")]
        held_out = come & (left != NONE) & (at - left < cohort.param(cohort.cooldown))
    told = held != 0
    held[:] = held_in | held_out
    return leave & ~held_in, come & ~held_out, np.flatnonzero(held_in & ~told), np.flatnonzero(held_out & ~told)
