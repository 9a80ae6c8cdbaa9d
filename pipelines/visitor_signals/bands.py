"""States of a number that are entered at one bound and left at another: which one belongs to each subject."""

from __future__ import annotations

import numpy as np

from pipelines.cohorts.daily.space import Flags, Ints
from pipelines.signals.catalogue import Signal
from pipelines.signals.machine import UNDEFINED, Moves

#: Unit of a parameter -> what one of it is in the numbers of the file.
_SCALE = {"ratio": 1000, "quantity": 1000}


def codes(signal: Signal) -> dict[int, str]:
    """State names by code: 0 is normal, above it the first state of the file is the highest."""
    high = len(signal.states)
    return {0: signal.normal or "none", **{high - place: each.state for place, each in enumerate(signal.states)}}


def columns(prefix: str) -> dict[str, int]:
    """Columns that a state takes, with the value of who is in the normal one."""
    return {f"{prefix}_state": 0, f"{prefix}_changed": -1, f"{prefix}_held": UNDEFINED}


def target(signal: Signal, top: Ints, under: Ints | int, now: Ints) -> Ints:
    """Where each subject belongs: the highest state that is entered, or kept since it is not below its exit bound.

    Args:
        signal: with states that have ``at_least``, and may have ``until_below``.
        top: numerators.
        under: denominators above zero.
        now: codes of the states.
    """
    found = np.zeros(len(now), dtype=np.int64)
    for code, bound in zip(range(len(signal.states), 0, -1), signal.states, strict=True):
        assert bound.at_least  # noqa: S101
        held = reaches(signal, bound.at_least, top, under)
        if bound.until_below:
            held |= (now >= code) & reaches(signal, bound.until_below, top, under)
        found = np.where(held & (found == 0), code, found)
    return found


def reaches(signal: Signal, reference: str, top: Ints, under: Ints | int) -> Flags:
    """Whether each number is at least a parameter."""
    value, scale = bound_of(signal, reference)
    found: Flags = top * scale >= value * np.asarray(under)
    return found


def bound_of(signal: Signal, reference: str) -> tuple[int, int]:
    """A parameter as a fraction."""
    unit = signal.params[reference.removeprefix("$")].unit
    return signal.param(reference), _SCALE.get(unit, 1)


def thresholds(signal: Signal, moves: Moves) -> tuple[Ints, Ints]:
    """The bound that each move crossed: of the state that was entered, or of the highest one that was left."""
    top, under = np.zeros(len(moves.index), dtype=np.int64), np.zeros(len(moves.index), dtype=np.int64)
    by_code = {len(signal.states) - place: each for place, each in enumerate(signal.states)}
    for before, after in sorted(set(zip(moves.origin.tolist(), moves.target.tolist(), strict=True))):
        state = by_code.get(max(before, after))
        reference = None if state is None else state.at_least if after > before else state.until_below
        if reference:
            here = (moves.origin == before) & (moves.target == after)
            top[here], under[here] = bound_of(signal, reference)
    return top, under
