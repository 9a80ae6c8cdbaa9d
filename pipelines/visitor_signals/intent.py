"""Intent: what a visitor did, each act worth half as much after every half-life, and the bands that the score is in.

The score at an instant of the hourly UTC grid is the sum over the acts before it of their weight in parts per million
times whole minutes of age; it is whole numbers throughout. Bands move at grid instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.cohorts.daily.space import Ints, Space
from pipelines.signals.catalogue import Signal
from pipelines.signals.machine import Moves, move
from pipelines.signals.units import DAY, HOUR, MINUTE
from pipelines.signals.visitor_measures import Intent
from pipelines.visitor_signals import bands, decay
from pipelines.visitor_signals.acts import KINDS, Acts, DayActs


@dataclass(frozen=True)
class Weighed:
    """Acts that still weigh something, sorted by visitor.

    Attributes:
        owner: number of the visitor.
        at: microseconds.
        weight: whole points.
    """

    owner: Ints
    at: Ints
    weight: Ints

    def of(self, kept: np.ndarray) -> Weighed:
        """Some of them."""
        return Weighed(self.owner[kept], self.at[kept], self.weight[kept])


def reach(signal: Signal) -> int:
    """Days before a day whose acts may still weigh something on it."""
    assert isinstance(signal.measure, Intent)  # noqa: S101
    width = len(decay.table(signal.param(signal.measure.half_life))) * MINUTE
    return -(-width // DAY) + 1


def weighed(signal: Signal, days: Sequence[DayActs], oldest: int) -> Weighed:
    """Acts of some days with their weights.

    Args:
        signal: the definition.
        days: acts by kind.
        oldest: instant before which nothing weighs anything any more.
    """
    measure = signal.measure
    assert isinstance(measure, Intent)  # noqa: S101
    points = dict(zip(KINDS, (measure.view, measure.add, measure.checkout), strict=True))
    parts: list[Weighed] = [_of(acts[kind], signal.param(points[kind]), oldest) for acts in days for kind in KINDS]
    owner = np.concatenate([part.owner for part in parts])
    order = np.argsort(owner, kind="stable")
    at, weight = (np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "weight"))
    return Weighed(owner[order], at[order], weight[order])


def _of(acts: Acts, points: int, oldest: int) -> Weighed:
    kept = acts.at >= oldest
    return Weighed(acts.owner[kept], acts.at[kept], acts.weight[kept] * points)


def scores(signal: Signal, acts: Weighed, hour: int) -> tuple[Ints, Ints]:
    """Visitors with acts before a grid instant, rising, and their score in parts per million, capped."""
    measure = signal.measure
    assert isinstance(measure, Intent)  # noqa: S101
    table = decay.table(signal.param(measure.half_life))
    age = (hour * HOUR - acts.at) // MINUTE
    seen = (acts.at < hour * HOUR) & (age < len(table))
    owner = acts.owner[seen]
    if not len(owner):
        return owner, owner
    begins = np.flatnonzero(np.diff(owner, prepend=-1))
    total = np.add.reduceat(acts.weight[seen] * table[age[seen]], begins)
    return owner[begins], np.minimum(total, signal.param(measure.cap) * decay.WHOLE)


@dataclass(frozen=True)
class Hour:
    """Moves at a grid instant, with the score before and after each, in parts per million."""

    hour: int
    moves: Moves
    before: Ints
    after: Ints


def through_the_day(signal: Signal, space: Space, acts: Weighed, grid: Sequence[int]) -> list[Hour]:
    """Move bands over the grid of a day.

    Args:
        signal: the definition.
        space: visitors, with the columns of ``bands.columns``.
        acts: those of the day and those before it that still count.
        grid: hours.
    """
    some = _candidates(signal, space, acts, grid[0])
    kept = acts.of(np.isin(acts.owner, some))
    column = {name: space[f"{name}"] for name in bands.columns(signal.id)}
    small = {name: values[some] for name, values in column.items()}
    found, before = [], _dense(signal, kept, some, grid[0] - 1)
    for hour in grid:
        now = _dense(signal, kept, some, hour)
        to = bands.target(signal, now, decay.WHOLE, small[f"{signal.id}_state"])
        moves = move(small, signal.id, to, np.ones(len(some), dtype=np.bool_), hour * HOUR, signal)
        if len(moves.index):
            index = moves.index
            shown = Moves(some[index], moves.origin, moves.target, moves.cause)
            found.append(Hour(hour, shown, before[index], now[index]))
        before = now
    for name, values in column.items():
        values[some] = small[name]
    return found


def _dense(signal: Signal, acts: Weighed, some: Ints, hour: int) -> Ints:
    owner, score = scores(signal, acts, hour)
    found = np.zeros(len(some), dtype=np.int64)
    found[np.searchsorted(some, owner)] = score
    return found


def _candidates(signal: Signal, space: Space, acts: Weighed, hour: int) -> Ints:
    """Visitors whose band can move on the day: those who are in one, and those whose acts could bring them there.

    Acts weigh at no grid instant of the day more than at its first one, those that are still to come all of it.
    """
    inside = space[f"{signal.id}_state"] != 0
    if len(acts.owner):
        table = decay.table(signal.param(signal.measure.half_life))  # type: ignore[union-attr]
        age = np.clip((hour * HOUR - acts.at) // MINUTE, 0, len(table) - 1)
        begins = np.flatnonzero(np.diff(acts.owner, prepend=-1))
        most = np.add.reduceat(acts.weight * table[age], begins)
        least = min(signal.param(state.at_least) for state in signal.states if state.at_least)
        inside[acts.owner[begins[most >= least * decay.WHOLE]]] = True
    found: Ints = np.flatnonzero(inside)
    return found
