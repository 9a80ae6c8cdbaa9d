"""The windowed signals at a grid instant, moved in the order in which they build on each other."""

from __future__ import annotations

import numpy as np

from pipelines.signals import state as states
from pipelines.signals.arrays import Ints
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
from pipelines.signals.demand import NEVER
from pipelines.signals.machine import Moves, among, codes
from pipelines.signals.measures import carts, composite, lifecycle, momentum, rank, risk, scarcity, spike
from pipelines.signals.measures.risk import Inbound, Supply
from pipelines.signals.state import Definitions, State
from pipelines.signals.units import HOUR


def level_at(state: State, signal: Signal, hour: int) -> momentum.Level:
    """Momentum of every product at a grid instant, from running sums that are there already."""
    assert isinstance(signal.measure, Momentum)  # noqa: S101
    return momentum.level(state.products, hour, state.data_since, signal.param(signal.measure.history))


class Moving:
    """The windowed signals of a day, in the order in which they build on each other."""

    def __init__(self, wanted: Definitions, state: State, found: Crossings, hour: int) -> None:
        self.state, self.found = state, found
        self.windows = states.windows(wanted)
        self.momentum, self.spike, self.surge = (states.of(wanted, kind) for kind in (Momentum, Spike, Surge))
        self.risk, self.score, self.life = (states.of(wanted, kind) for kind in (Risk, Score, Lifecycle))
        self.composite, self.levels = states.of(wanted, Composite), states.of(wanted, Scarcity)
        self.ranks, self.changes = states.all_of(wanted, Rank), states.all_of(wanted, RankChange)
        self.names = momentum.codes(self.momentum) if self.momentum else {0: "normal"}
        self._before = self._level(hour)

    def _level(self, hour: int) -> momentum.Level:
        if self.momentum is None or self.state.data_since == NEVER:
            none = np.zeros(self.state.products.height, dtype=np.int64)
            return momentum.Level(none, none, none, none)
        return level_at(self.state, self.momentum, hour)

    def to(self, hour: int, carted: Ints, supply: Supply, inbound: Inbound, category: Ints) -> None:
        """Move to a grid instant; running sums are there already."""
        products, state, found = self.state.products, self.state, self.found
        now = self._level(hour)
        self._move_momentum(hour, now)
        if self.spike is not None and state.data_since != NEVER:
            spike.step(products, state.hours, self.spike, hour, state.data_since, found)
        if self.surge is not None:
            carts.surges(products, carted, self.surge, hour, found)
        products["cart_pressure"][:] = carted
        self._move_ranks(hour, category)
        self._move_risk(hour, supply, inbound)
        if self.score is not None:
            risk.score(products, self.score, supply, now)
        self._move_life(hour)
        self._move_composite(hour)
        self._before = now

    def _move_momentum(self, hour: int, now: momentum.Level) -> None:
        if self.momentum is None or self.state.data_since == NEVER:
            return
        moves = momentum.step(self.state.products, self.momentum, hour, now)
        index, before = moves.index, self._before
        origin = np.where(moves.origin == momentum.DEFAULTS["momentum_state"], 0, moves.origin)
        old = before.numerator[index], before.denominator[index]
        new = now.numerator[index], now.denominator[index]
        bound = momentum.bounds(self.momentum, moves)
        at = hour * HOUR
        self.found.add(
            self.momentum.id, self.state.products.ids, moves, self.names, at, old, new, moves.target > origin, bound
        )

    def _move_ranks(self, hour: int, category: Ints) -> None:
        products = self.state.products
        for signal in self.ranks:
            now = rank.ranks(products, category, signal)
            for change in self.changes:
                if isinstance(change.measure, RankChange) and change.measure.rank_change == signal.id:
                    rank.changes(products, now, change, hour, self.found)
            products[signal.id][:] = now

    def _move_risk(self, hour: int, supply: Supply, inbound: Inbound) -> None:
        if self.risk is None or self.levels is None:
            return
        names = dict(enumerate(scarcity.names(self.levels)))
        moves = risk.step(self.state.products, self.risk, hour, supply, names, inbound)
        called = {0: self.risk.normal or "none", 1: self.risk.states[0].state}
        up = moves.target == 1
        none, after = nothing(len(moves.index)), risk.runway(supply, moves.index)
        self.found.add(self.risk.id, self.state.products.ids, moves, called, hour * HOUR, none, after, up)

    def _move_life(self, hour: int) -> None:
        if self.life is None or not isinstance(self.life.measure, Lifecycle):
            return
        products = self.state.products
        here = products["momentum_state"]
        trends = [code for code, name in self.names.items() if name in self.life.measure.trending]
        cold = (here < 0) & (here != momentum.DEFAULTS["momentum_state"])
        moves = lifecycle.step(products, self.life, hour, among(here, trends), cold)
        self._tell(self.life, codes(self.life), moves, hour)

    def _move_composite(self, hour: int) -> None:
        if self.composite is None:
            return
        products = self.state.products
        ranked = products[self.ranks[0].id] if self.ranks else np.zeros(products.height, dtype=np.int64)
        here = products["momentum_state"]
        moves = composite.step(products, self.composite, hour, here, self.names, risk.at_risk(products), ranked)
        self._tell(self.composite, codes(self.composite), moves, hour)

    def _tell(self, signal: Signal, names: dict[int, str], moves: Moves, hour: int) -> None:
        none = nothing(len(moves.index))
        origin = np.maximum(moves.origin, 0)
        self.found.add(signal.id, self.state.products.ids, moves, names, hour * HOUR, none, none, moves.target > origin)
