"""Loyalty of customers: fifths by recency, frequency and spend, and when the next order is due."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipelines.calendar import Day
from pipelines.cohorts.daily.changes import Source
from pipelines.cohorts.daily.decide import nearest_rank
from pipelines.cohorts.daily.gaps import own_gaps
from pipelines.cohorts.daily.numbers import Number
from pipelines.cohorts.daily.space import Ints
from pipelines.cohorts.daily.state import NONE, State
from pipelines.cohorts.daily.totals import EVER, Total
from pipelines.signals.demand import micros
from pipelines.signals.units import DAY
from pipelines.visitor_signals.resolve import Resolved, population
from pipelines.visitor_signals.rows import Reading, reading
from pipelines.visitor_signals.shared import value

#: Percentiles between the fifths.
FIFTHS = (20, 40, 60, 80)
_DIMENSIONS = ("recency", "frequency", "spend")
#: The newest order of each customer.
LAST_ORDER = Total("last", "order", "", (), EVER, "")
CELLS: Mapping[int, str] = {
    100 * r + 10 * f + m: f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)
}


def _name(found: Resolved, dimension: str, share: int) -> str:
    return f"{found.id}|{dimension}|{share}"


def cells(found: Resolved, state: State, as_of: int) -> Reading:
    """The cell of everybody with an order in the window; nobody has one while the day before has no percentiles.

    Args:
        found: the signal.
        state: customers; its bounds are those of the day before.
        as_of: last instant of the day.
    """
    numbers = [value(found, state, as_of, place) for place in range(3)]
    where = numbers[1].known & (numbers[1].top > 0)
    code = np.zeros(len(where), dtype=np.int64)
    for dimension, each in zip(_DIMENSIONS, numbers, strict=True):
        fifth = np.ones(len(where), dtype=np.int64)
        for share in FIFTHS:
            limit = state.bounds.get(_name(found, dimension, share))
            if limit is None:
                where = np.zeros(len(where), dtype=np.bool_)
                break
            fifth += (each.top > limit) & each.known
        code = code * 10 + fifth
    return reading(found.id, found.version, "customer", where, code, 1, code, CELLS)


def bounds(found: Resolved, state: State, as_of: int, today: int) -> dict[str, int]:
    """Percentiles of the day by name, for the cells of the next one; none where too few have a value."""
    assert found.cohort is not None  # noqa: S101
    fewest, history = population(found.cohort)
    if not state.first_day or today - state.first_day < history // DAY:
        return {}
    limits: dict[str, int] = {}
    for place, dimension in enumerate(_DIMENSIONS):
        present = _present(value(found, state, as_of, place))
        if len(present) < max(1, fewest):
            return {}
        limits |= {_name(found, dimension, share): nearest_rank(present, share) for share in FIFTHS}
    return limits


def _present(values: Number) -> Ints:
    found: Ints = values.top[values.known & (values.top != 0)]
    return found


def due(found: Resolved, state: State, source: Source, day: Day) -> Reading:
    """When the next order of everybody with two is due; the value is the days from then to the end of the day."""
    own, _, _ = own_gaps("order", state.subjects, source, day, day.date.toordinal())
    last = state.subjects[LAST_ORDER.name]
    where = (own != NONE) & (last != NONE)
    instant = np.where(where, last + np.where(where, own, 0), 0)
    found_ = reading(found.id, found.version, "customer", where, micros(day.end) - 1 - instant, DAY)
    return Reading(**{**vars(found_), "instant": instant[found_.owner]})
