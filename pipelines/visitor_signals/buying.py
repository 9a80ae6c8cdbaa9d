"""Customers' signals day by day: running totals of their orders, percentiles of the day before, and states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.daily.advance import advance as advance_totals
from pipelines.cohorts.daily.changes import CustomerSource
from pipelines.cohorts.daily.state import NONE, State
from pipelines.cohorts.daily.totals import Total
from pipelines.cohorts.streams.customers import Customers
from pipelines.signals.demand import micros
from pipelines.signals.machine import Moves, move
from pipelines.signals.machine import settle as settle_instants
from pipelines.signals.units import DAY
from pipelines.signals.visitor_measures import Cells, Due, OfCohort, Vector
from pipelines.visitor_signals import bands, loyalty, shared
from pipelines.visitor_signals.moves import Crossings
from pipelines.visitor_signals.resolve import Definitions, Resolved
from pipelines.visitor_signals.rows import Reading
from pipelines.visitor_signals.visiting import of

KIND = "customer"
TABLES = ("customer_orders",)


@dataclass
class CustomerSide:
    """Customers' signals with their state.

    Attributes:
        definitions: of customers.
        known: customers' streams.
        days: every day from the first one with data.
        state: totals and columns by customer.
    """

    definitions: Definitions
    known: Customers
    days: list[Day]
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        shown = of(self.definitions, OfCohort, Vector, Cells)
        named = {total.name: total for each in shown for total in shared.totals(each)}
        if of(self.definitions, Due):
            named[loyalty.LAST_ORDER.name] = loyalty.LAST_ORDER
        self.totals: list[Total] = [named[name] for name in sorted(named)]
        self._rows = CustomerSource(self.known, self.days)
        self.begin()

    def begin(self) -> None:
        """Begin with nothing."""
        self.state = State()
        self.state.have(self.totals)
        for each in of(self.definitions, Cells, Due):
            for name, default in bands.columns(each.id).items():
                self.state.subjects.column(name, default)

    def parts(self) -> dict[str, pl.DataFrame]:
        """The state as frames."""
        return {f"{KIND}-{name}": frame for name, frame in self.state.stored().items()}

    def restore(self, parts: Mapping[str, pl.DataFrame]) -> None:
        """Go on from what ``parts`` gave."""
        self.begin()
        self.state.restore({name.removeprefix(f"{KIND}-"): frame for name, frame in parts.items()})

    def advance(self, day: Day, found: Crossings, before: Mapping[str, Reading]) -> list[Reading]:
        """Go to the end of the next day from the readings of the one before; ``found`` is given what crossed."""
        advance_totals(self.state, self.totals, self._rows, day)
        at = micros(day.end) - 1
        readings = [shared.single(each, KIND, self.state, at) for each in of(self.definitions, OfCohort)]
        readings += [
            shared.vector(each, KIND, self.state, at, before.get(each.id)) for each in of(self.definitions, Vector)
        ]
        readings += [self._cells(each, at, found) for each in of(self.definitions, Cells)]
        readings += [self._due(each, day, found) for each in of(self.definitions, Due)]
        limits: dict[str, int] = {}
        for each in of(self.definitions, Cells):
            limits |= loyalty.bounds(each, self.state, at, day.date.toordinal())
        self.state.bounds = limits
        self._settle(at)
        return readings

    def _cells(self, each: Resolved, at: int, found: Crossings) -> Reading:
        space = self.state.subjects
        now = loyalty.cells(each, self.state, at)
        column = space[f"{each.id}_state"]
        before = column.copy()
        column[:] = 0
        column[now.owner] = now.code
        moved = now.owner[now.code != before[now.owner]]
        moves = Moves(moved, before[moved], column[moved], np.zeros(len(moved), dtype=np.int64))
        found.add(each, space, moves, loyalty.CELLS, at)
        return now

    def _due(self, each: Resolved, day: Day, found: Crossings) -> Reading:
        """Due instants and who is overdue: from the due instant on, until the next order."""
        space, start, at = self.state.subjects, micros(day.start), micros(day.end) - 1
        now = loyalty.due(each, self.state, self._rows, day)
        names = bands.codes(each.signal)
        code = np.zeros(space.height, dtype=np.int64)
        column = f"{each.id}_state"
        code[now.owner] = bands.target(each.signal, now.top, now.under, space[column][now.owner])
        moves = move(space, each.id, code, np.ones(space.height, dtype=np.bool_), at, each.signal)
        value = np.zeros(space.height, dtype=np.int64)
        instant = np.full(space.height, at, dtype=np.int64)
        assert now.instant is not None  # noqa: S101
        value[now.owner], instant[now.owner] = now.top, now.instant
        grace = next((each.signal.param(state.at_least) for state in each.signal.states if state.at_least), 0)
        last = space[loyalty.LAST_ORDER.name]
        when = np.where(moves.target > moves.origin, instant[moves.index] + grace * DAY, last[moves.index])
        after = (value[moves.index], np.where(instant[moves.index] == at, 0, DAY))
        bound = bands.thresholds(each.signal, moves)
        found.add(each, space, moves, names, np.clip(when, start, at), None, after, bound)
        return Reading(**{**vars(now), "code": space[column][now.owner], "names": names})

    def _settle(self, at: int) -> None:
        """Forget what no later day can tell apart."""
        space = self.state.subjects
        for each in [space, *self.state.families.values()]:
            each["changed"][:] = NONE
        for due in of(self.definitions, Due):
            settle_instants(space, f"{due.id}_changed", at, max(due.signal.silence()))
