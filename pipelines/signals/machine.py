"""States and events of products over instants: what is accepted, and what a cooldown or a dwell time suppresses.

Which state a product should be in is decided by the measures; here it is only moved there, all products at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.catalogue import Signal

UNDEFINED = -128
_LONG = np.iinfo(np.int64).max
#: Causes of suppression, by code.
CAUSES = {1: "cooldown", 2: "dwell"}


class Columns(Protocol):
    """Columns by name, one value a subject; they are written to."""

    def __getitem__(self, name: str, /) -> Ints:
        """A column."""


@dataclass(frozen=True)
class Moves:
    """Products that moved or would have: index, codes of the states, and the code of the cause where suppressed."""

    index: Ints
    origin: Ints
    target: Ints
    cause: Ints

    def of(self, index: Ints) -> Moves:
        """The same with the products that a part's places stand for."""
        return replace(self, index=index[self.index])


def columns(prefix: str) -> dict[str, int]:
    """Columns of ``Products`` that a state takes, with the value of an untouched product."""
    return {f"{prefix}_state": UNDEFINED, f"{prefix}_changed": -1, f"{prefix}_held": UNDEFINED}


def move(products: Columns, prefix: str, target: Ints, defined: Flags, instant: int, signal: Signal) -> Moves:
    """Move every product to its target, code 0 being the normal state.

    Within the cooldown after a change nothing moves; within the dwell time nothing moves towards normal. A wish that is
    suppressed is told once, and fulfilled at the first instant at which it is still there and nothing suppresses it.

    Args:
        products: its columns ``columns(prefix)`` are changed.
        prefix: of the columns.
        target: code by product.
        defined: where the target counts; elsewhere the state stays.
        instant: microseconds.
        signal: gives cooldown and dwell.
    """
    cooldown, dwell = signal.silence()
    state, changed, held = (products[name] for name in columns(prefix))
    state_now = np.where(state == UNDEFINED, 0, state)
    wished = np.flatnonzero(defined & (target != state_now))
    waiting = held[wished]
    held[held != UNDEFINED] = UNDEFINED
    age = np.where(changed[wished] >= 0, instant - changed[wished], _LONG)
    to, now = target[wished], state_now[wished]
    cooling, dwelling = age < cooldown, (age < dwell) & (np.abs(to) < np.abs(now))
    blocked = cooling | dwelling
    told = ~blocked | (waiting != to)
    cause = np.where(cooling, 1, np.where(dwelling, 2, 0))[told]
    moves = Moves(wished[told], state[wished][told], to[told], cause)
    held[wished[blocked]] = to[blocked]
    state[defined] = state_now[defined]
    accepted = wished[~blocked]
    state[accepted], changed[accepted] = to[~blocked], instant
    return moves


def fire(products: Products, prefix: str, index: Ints, instant: int, signal: Signal) -> Ints:
    """Fire an event for some products; within the cooldown after the last one it is suppressed.

    Returns:
        The code of the cause by product of ``index``; 0 where the event counts.
    """
    cooldown, _ = signal.silence()
    fired = products[f"{prefix}_fired"]
    cooling = (fired[index] >= 0) & (instant - fired[index] < cooldown)
    fired[index[~cooling]] = instant
    return cooling.astype(np.int64)


def settle(products: Columns, name: str, instant: int, silence: int) -> None:
    """Forget instants in a column that no later one can tell apart, so that states from which the same follows equal.

    Args:
        products: whose.
        name: a column of instants; -1 is none.
        instant: the last one that was evaluated.
        silence: microseconds after which an instant does not matter.
    """
    column = products[name]
    column[instant - column >= silence] = -1


def codes(signal: Signal) -> dict[int, str]:
    """State names of a signal by code: 0 is normal, the listed states count from 1."""
    return {0: signal.normal or "normal", **{place: each.state for place, each in enumerate(signal.states, start=1)}}


def among(codes_now: Ints, wanted: Iterable[int]) -> Flags:
    """Whether each code is one of a few; far cheaper than sorting them."""
    found = np.zeros(len(codes_now), dtype=np.bool_)
    for code in wanted:
        found |= codes_now == code
    return found
