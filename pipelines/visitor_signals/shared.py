"""Values that cohorts define, for everybody who has one: shares, lifts, rates, and the greatest of a family."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.cohorts.daily.numbers import Number, Scope, number
from pipelines.cohorts.daily.space import Ints, parts
from pipelines.cohorts.daily.state import NONE, State
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
    scope = Scope(state, found.cohort, as_of)
    return number(scope, found.values[place]).spread(scope.height)


def single(found: Resolved, kind: str, state: State, as_of: int) -> Reading:
    """The value of everybody who did something that counts in it."""
    now = value(found, state, as_of)
    counted = np.zeros(state.subjects.height, dtype=np.bool_)
    for total in totals(found):
        counted |= state.subjects[total.name] != state.subjects.defaults[total.name]
    owner = np.flatnonzero(now.known & counted)
    none = np.full(len(owner), STATELESS, dtype=np.int64)
    return Reading(found.id, found.version, kind, owner, owner, now.top[owner], now.under[owner], none)


def vector(found: Resolved, kind: str, state: State, as_of: int, before: Reading | None) -> Reading:
    """The greatest values of each subject above zero, one row a key; of equal ones the first key by name.

    Args:
        found: the signal.
        kind: visitor or customer.
        state: totals, with ``changed`` for the subjects whose totals are others than on the day before.
        as_of: last instant of the day.
        before: of the day before, where its numbers of subjects are those of the state; who did not change keeps it.
    """
    assert found.cohort is not None and isinstance(found.signal.measure, Vector)  # noqa: S101
    key = found.cohort.for_each or ""
    changed = state.subjects["changed"] != NONE
    if before is None:
        changed[:] = True
    rows = np.flatnonzero(changed[state.owners(key)])
    now = number(Scope(state, found.cohort, as_of, rows=rows), found.values[0]).spread(len(rows))
    positive = now.known & (now.top > 0)
    rows, top, under = rows[positive], now.top[positive], now.under[positive]
    owner, item = parts(state.families[key].codes[rows])
    ranks = _ranks(state.values[key].ids)
    # All shares of a subject have one denominator, so that their numerators are in the order of the shares.
    order = np.lexsort((ranks[item], -top, owner))
    begins = np.flatnonzero(np.diff(owner[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    kept = order[place < found.signal.param(found.signal.measure.top)]
    codes, top, under = state.families[key].codes[rows[kept]], top[kept], under[kept]
    if before is not None:
        same = ~changed[before.owner]
        codes, top, under = (
            np.concatenate(pair)
            for pair in ((before.key[same], codes), (before.top[same], top), (before.under[same], under))
        )
    order = np.argsort(codes)
    codes, top, under = codes[order], top[order], under[order]
    owner, item = parts(codes)
    none = np.full(len(codes), STATELESS, dtype=np.int64)
    named = state.values[key].ids.gather(item)
    return Reading(found.id, found.version, kind, codes, owner, top, under, none, item=named, order=ranks[item])


def _ranks(ids: pl.Series) -> Ints:
    ranks = np.empty(ids.len(), dtype=np.int64)
    ranks[ids.arg_sort().to_numpy()] = np.arange(ids.len())
    return ranks
