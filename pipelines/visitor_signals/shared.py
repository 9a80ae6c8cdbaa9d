"""Values that cohorts define, for everybody who has one: shares, lifts, rates, and the greatest of a family."""

from __future__ import annotations

import numpy as np

from pipelines.cohorts.daily.numbers import Number, Scope, number
from pipelines.cohorts.daily.space import parts
from pipelines.cohorts.daily.state import State
from pipelines.cohorts.daily.totals import Total, of_value
from pipelines.signals.visitor_measures import Vector
from pipelines.visitor_signals.resolve import Resolved
from pipelines.visitor_signals.rows import STATELESS, Reading


def totals(found: Resolved) -> list[Total]:
    """Running totals that the values are made of."""
    assert found.cohort is not None  # noqa: S101
    return [total for value in found.values for total in of_value(value, found.cohort)]


def value(found: Resolved, state: State, as_of: int, place: int = 0) -> Number:
    """One of the values by row of the cohort's space."""
    assert found.cohort is not None  # noqa: S101
    return number(Scope(state, found.cohort, as_of), found.values[place])


def single(found: Resolved, kind: str, state: State, as_of: int) -> Reading:
    """The value of everybody who did something that counts in it."""
    now = value(found, state, as_of)
    counted = np.zeros(state.subjects.height, dtype=np.bool_)
    for total in totals(found):
        counted |= state.subjects[total.name] != state.subjects.defaults[total.name]
    owner = np.flatnonzero(now.known & counted)
    none = np.full(len(owner), STATELESS, dtype=np.int64)
    return Reading(found.id, found.version, kind, owner, owner, now.top[owner], now.under[owner], none)


def vector(found: Resolved, kind: str, state: State, as_of: int) -> Reading:
    """The greatest values of each subject above zero, one row a key; of equal ones the first key by name."""
    assert found.cohort is not None and isinstance(found.signal.measure, Vector)  # noqa: S101
    key = found.cohort.for_each or ""
    now, space = value(found, state, as_of), state.families[key]
    rows = np.flatnonzero(now.known & (now.top > 0))
    owner, item = parts(space.codes[rows])
    ids = state.values[key].ids
    rank = np.empty(ids.len(), dtype=np.int64)
    rank[ids.arg_sort().to_numpy()] = np.arange(ids.len())
    # All shares of a subject have one denominator, so that their numerators are in the order of the shares.
    order = np.lexsort((rank[item], -now.top[rows], owner))
    owner = owner[order]
    begins = np.flatnonzero(np.diff(owner, prepend=-1))
    place = np.arange(len(owner)) - np.repeat(begins, np.diff(begins, append=len(owner)))
    kept = rows[order][place < found.signal.param(found.signal.measure.top)]
    codes = np.sort(space.codes[kept])
    kept = space.find(codes)
    owner, item = parts(codes)
    none = np.full(len(kept), STATELESS, dtype=np.int64)
    return Reading(
        found.id, found.version, kind, codes, owner, now.top[kept], now.under[kept], none, item=ids.gather(item)
    )
