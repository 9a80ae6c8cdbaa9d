"""The windowed signals at a grid instant, moved in the order in which they build on each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.signals import state as states
from pipelines.signals.arrays import Ints, Part
from pipelines.signals.catalogue import (
    Composite,
    Lifecycle,
    Momentum,
    Rank,
    RankChange,
    Risk,
    Scarcity,
    Score,
    Signal,
    Spike,
    Surge,
)
from pipelines.signals.crossings import Crossings, nothing
from pipelines.signals.demand import NEVER, Touched
from pipelines.signals.machine import UNDEFINED, Moves, among, codes
from pipelines.signals.machine import columns as machine_columns
from pipelines.signals.measures import carts, composite, lifecycle, momentum, rank, risk, scarcity, spike
from pipelines.signals.measures.risk import Inbound, Supply
from pipelines.signals.state import Definitions, State
from pipelines.signals.units import HOUR
from pipelines.signals.wake import Wake


def level_at(state: State, signal: Signal, hour: int) -> momentum.Level:
    """Momentum of every product at a grid instant, from running sums that are there already."""
    assert isinstance(signal.measure, Momentum)  # noqa: S101
    return momentum.level(state.products, hour, state.data_since, signal.param(signal.measure.history))


@dataclass(frozen=True)
class Around:
    """What a grid instant finds beside the running sums.

    Attributes:
        touched: products whose counts moved.
        more: other products that must be looked at.
        carted: visitors with a product in an active cart.
        supply: stock.
        inbound: announced deliveries.
        category: number by product, -1 for none.
        last: whether it is the last instant of the day.
    """

    touched: Touched
    more: Sequence[Ints]
    carted: Ints
    supply: Supply
    inbound: Inbound
    category: Ints
    last: bool


class Moving:
    """The windowed signals of a day, in the order in which they build on each other."""

    def __init__(self, wanted: Definitions, state: State, found: Crossings, grid: Sequence[int]) -> None:
        self.state, self.found = state, found
        self.windows = states.windows(wanted)
        self.momentum, self.spike, self.surge = (states.of(wanted, kind) for kind in (Momentum, Spike, Surge))
        self.risk, self.score, self.life = (states.of(wanted, kind) for kind in (Risk, Score, Lifecycle))
        self.composite, self.levels = states.of(wanted, Composite), states.of(wanted, Scarcity)
        self.ranks, self.changes = states.all_of(wanted, Rank), states.all_of(wanted, RankChange)
        self.names = momentum.codes(self.momentum) if self.momentum else {0: "normal"}
        self._measured = self.momentum is not None and state.data_since != NEVER
        self._before = self._level(grid[0] - 1)
        self._waiting: dict[str, Ints] = {}
        self._wake = Wake(state.products, grid, state.data_since, self.momentum, self.life)

    def _level(self, hour: int) -> momentum.Level:
        if self.momentum is None or not self._measured:
            none = np.zeros(self.state.products.height, dtype=np.int64)
            return momentum.Level(none, none, none, none)
        return level_at(self.state, self.momentum, hour)

    def to(self, hour: int, around: Around) -> None:
        """Move to a grid instant; running sums are there already."""
        products, state, found = self.state.products, self.state, self.found
        touched = around.touched
        self._wake.seen(touched.fresh)
        warmer = self._move_momentum(hour, touched)
        if self.spike is not None and state.data_since != NEVER:
            spike.step(products, state.hours, self.spike, hour, state.data_since, found)
        if self.surge is not None:
            carts.surges(products, around.carted, self.surge, hour, found)
        products["cart_pressure"][:] = around.carted
        ranked = self._move_ranks(hour, around.category)
        risky = self._move_risk(hour, around.supply, around.inbound)
        # Nothing but the end of a day shows a score.
        if self.score is not None and around.last:
            risk.score(products, self.score, around.supply, self._level(hour))
        self._move_life(hour, [*touched.life, warmer, *around.more])
        self._move_composite(hour, [*touched.seen, warmer, ranked, risky])

    def _part(self, hour: int, prefix: str, touched: Iterable[Ints]) -> Part:
        """Products to look at for a state: those that were touched and those that wait."""
        waiting = self._waiting.get(prefix, np.zeros(0, dtype=np.int64))
        return Part(self.state.products, self._wake.at(hour, [*touched, waiting]))

    def _put(self, part: Part, prefix: str, moves: Moves) -> None:
        """Put states back; those that wait, and those from which another way may lead, are looked at again."""
        part.put(machine_columns(prefix))
        again = part[f"{prefix}_held"] != UNDEFINED
        again[moves.index] = True
        self._waiting[prefix] = part.index[again]

    def _move_momentum(self, hour: int, touched: Touched) -> Ints:
        """Move momentum; products whose state moved."""
        if self.momentum is None or not self._measured or not isinstance(self.momentum.measure, Momentum):
            return np.zeros(0, dtype=np.int64)
        part = self._part(hour, momentum.PREFIX, touched.momentum)
        history = self.momentum.param(self.momentum.measure.history)
        now = momentum.level(part, hour, self.state.data_since, history)
        moves = momentum.step(part, self.momentum, hour, now)
        self._put(part, momentum.PREFIX, moves)
        index, before = part.index[moves.index], self._before
        origin = np.where(moves.origin == momentum.DEFAULTS["momentum_state"], 0, moves.origin)
        old = before.numerator[index], before.denominator[index]
        new = now.numerator[moves.index], now.denominator[moves.index]
        bound = momentum.bounds(self.momentum, moves)
        at, up = hour * HOUR, moves.target > origin
        ids = self.state.products.ids
        self.found.add(self.momentum.id, ids, moves.of(part.index), self.names, at, old, new, up, bound)
        before.numerator[part.index], before.denominator[part.index] = now.numerator, now.denominator
        return index

    def _move_ranks(self, hour: int, category: Ints) -> Ints:
        """Move ranks; products that entered or left those that ``demand_state`` calls hot."""
        products = self.state.products
        moved = np.zeros(0, dtype=np.int64)
        for signal in self.ranks:
            now = rank.ranks(products, category, signal)
            for change in self.changes:
                if isinstance(change.measure, RankChange) and change.measure.rank_change == signal.id:
                    rank.changes(products, now, change, hour, self.found)
            if signal is self.ranks[0] and self.composite and isinstance(self.composite.measure, Composite):
                top, before = self.composite.param(self.composite.measure.rank), products[signal.id]
                rows = np.flatnonzero(now != before)
                moved = rows[((now[rows] > 0) & (now[rows] <= top)) != ((before[rows] > 0) & (before[rows] <= top))]
            products[signal.id][:] = now
        return moved

    def _move_risk(self, hour: int, supply: Supply, inbound: Inbound) -> Ints:
        """Move the flag; products whose flag moved."""
        if self.risk is None or self.levels is None:
            return np.zeros(0, dtype=np.int64)
        names = dict(enumerate(scarcity.names(self.levels)))
        moves = risk.step(self.state.products, self.risk, hour, supply, names, inbound)
        called = {0: self.risk.normal or "none", 1: self.risk.states[0].state}
        up = moves.target == 1
        none, after = nothing(len(moves.index)), risk.runway(supply, moves.index)
        self.found.add(self.risk.id, self.state.products.ids, moves, called, hour * HOUR, none, after, up)
        return moves.index

    def _move_life(self, hour: int, touched: Iterable[Ints]) -> None:
        if self.life is None or not isinstance(self.life.measure, Lifecycle):
            return
        part = self._part(hour, lifecycle.PREFIX, touched)
        here = part["momentum_state"]
        trends = [code for code, name in self.names.items() if name in self.life.measure.trending]
        cold = (here < 0) & (here != momentum.DEFAULTS["momentum_state"])
        begun = part["cooling_since"] < 0
        moves = lifecycle.step(part, self.life, hour, among(here, trends), cold)
        part.put(["cooling_since"])
        self._put(part, lifecycle.PREFIX, moves)
        self._wake.cooling(part.index[begun & cold])
        self._tell(self.life, codes(self.life), moves.of(part.index), hour)

    def _move_composite(self, hour: int, touched: Iterable[Ints]) -> None:
        if self.composite is None:
            return
        part = self._part(hour, composite.PREFIX, touched)
        ranked = part[self.ranks[0].id] if self.ranks else np.zeros(part.height, dtype=np.int64)
        here = part["momentum_state"]
        moves = composite.step(part, self.composite, hour, here, self.names, risk.at_risk(part), ranked)
        self._put(part, composite.PREFIX, moves)
        self._tell(self.composite, codes(self.composite), moves.of(part.index), hour)

    def _tell(self, signal: Signal, names: dict[int, str], moves: Moves, hour: int) -> None:
        none = nothing(len(moves.index))
        origin = np.maximum(moves.origin, 0)
        self.found.add(signal.id, self.state.products.ids, moves, names, hour * HOUR, none, none, moves.target > origin)
