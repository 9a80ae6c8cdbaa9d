"""Values and bounds of rules as whole-number fractions over all subjects of a space at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipelines.cohorts.daily.gaps import DayGaps
from pipelines.cohorts.daily.space import Flags, Ints
from pipelines.cohorts.daily.state import NONE, State
from pipelines.cohorts.daily.totals import Total, of_value, total
from pipelines.cohorts.language.bounds import Bound, Greatest, Multiple, Percentile
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.values import Add, Extreme, MedianGap, Over, Share, Since, Term, Times, Value

#: Units whose parameters are thousandths.
_THOUSANDTHS = ("ratio", "quantity")


@dataclass(frozen=True)
class Number:
    """A fraction for each row of a space.

    Attributes:
        top: numerator.
        under: denominator, above zero where known.
        known: whether there is a value at all.
    """

    top: Ints
    under: Ints
    known: Flags


@dataclass(frozen=True)
class Scope:
    """Where values are looked up.

    Attributes:
        state: the totals.
        cohort: whose parameters apply.
        as_of: last instant that is seen, for ``since``; microseconds.
        gaps: stream -> times between the subjects' events, for ``median_gap``.
    """

    state: State
    cohort: Cohort
    as_of: int
    gaps: Mapping[str, DayGaps] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Field of the cohort's family, if it has one."""
        return self.cohort.for_each or ""


def number(scope: Scope, term: Term) -> Number:
    """A value, or a parameter, for each row of the cohort's space."""
    if isinstance(term, str):
        return constant(scope, term)
    if isinstance(term, Add):
        return _folded(scope, term.add, _add)
    if isinstance(term, Times):
        return _folded(scope, term.times, _times)
    if isinstance(term, Over):
        return _over(number(scope, term.over[0]), number(scope, term.over[1]))
    if isinstance(term, Share):
        part = number(scope, term.share)
        return _over(Number(part.top * 100, part.under, part.known), number(scope, term.to))
    if isinstance(term, Extreme) and term.avg:
        added, present = of_value(term, scope.cohort)
        return _over(_column(scope, added), _column(scope, present))
    if isinstance(term, MedianGap):
        return _gap(scope, term)
    found = _column(scope, total(term, scope.cohort))
    if isinstance(term, Since):
        return Number(np.where(found.known, scope.as_of - found.top, 0), found.under, found.known)
    return found


def constant(scope: Scope, reference: str) -> Number:
    """A parameter for each row."""
    value = scope.cohort.param(reference)
    unit = scope.cohort.params[reference.removeprefix("$")].unit
    height = scope.state.space(scope.key).height
    under = 1000 if unit in _THOUSANDTHS else 1
    return Number(np.full(height, value), np.full(height, under), np.ones(height, dtype=np.bool_))


def _column(scope: Scope, found: Total) -> Number:
    values = scope.state.space(found.key)[found.name]
    if not found.key and scope.key:
        values = values[scope.state.owners(scope.key)]
    known = values != NONE
    return Number(values, np.ones(len(values), dtype=np.int64), known)


def _gap(scope: Scope, term: MedianGap) -> Number:
    gaps = scope.gaps[term.median_gap]
    values = gaps.own
    if term.otherwise and term.fewer_than:
        values = np.where(gaps.orders < scope.cohort.param(term.fewer_than), gaps.usual, values)
    return Number(values, np.ones(len(values), dtype=np.int64), values != NONE)


def _folded(scope: Scope, terms: tuple[Term, ...], fold: object) -> Number:
    result = number(scope, terms[0])
    for term in terms[1:]:
        result = fold(result, number(scope, term))  # type: ignore[operator]
    return result


def _add(one: Number, other: Number) -> Number:
    top = one.top * other.under + other.top * one.under
    return Number(top, one.under * other.under, one.known & other.known)


def _times(one: Number, other: Number) -> Number:
    return Number(one.top * other.top, one.under * other.under, one.known & other.known)


def _over(one: Number, other: Number) -> Number:
    known = one.known & other.known & (other.top != 0)
    sign = np.sign(other.top)
    top, under = one.top * other.under * sign, one.under * other.top * sign
    return Number(np.where(known, top, 0), np.where(known, under, 1), known)


def bound(scope: Scope, limit: Bound, value: Value) -> Number:
    """What a value is compared with, for each row; unknown where a percentile or multiple has no value."""
    if isinstance(limit, str):
        return constant(scope, limit)
    if isinstance(limit, Percentile):
        return _percentile(scope, limit, value)
    if isinstance(limit, Multiple):
        return _times(constant(scope, limit.multiple), number(scope, limit.of))
    assert isinstance(limit, Greatest)  # noqa: S101
    found = bound(scope, limit.greatest[0], value)
    for part in limit.greatest[1:]:
        found = _greater(found, bound(scope, part, value))
    return found


def _greater(one: Number, other: Number) -> Number:
    """The greater of two; where one is not known, the other."""
    second = other.known & (~one.known | (other.top * one.under > one.top * other.under))
    return Number(
        np.where(second, other.top, one.top), np.where(second, other.under, one.under), one.known | other.known
    )


def _percentile(scope: Scope, limit: Percentile, value: Value) -> Number:
    height = scope.state.space(scope.key).height
    found = scope.state.bounds.get(percentile_name(scope.cohort, limit, value))
    known = np.full(height, found is not None, dtype=np.bool_)
    return Number(np.full(height, found or 0), np.ones(height, dtype=np.int64), known)


def percentile_name(cohort: Cohort, limit: Percentile, value: Value) -> str:
    """Name of a percentile among the bounds of a state."""
    share = cohort.param(limit.percentile)
    population = cohort.param(limit.population) if limit.population else 0
    history = cohort.param(limit.history) if limit.history else 0
    made_of = ",".join(total.name for total in of_value(value, cohort))
    return f"{cohort.for_each or ''}|{share}|{population}|{history}|{value.model_dump_json()}|{made_of}"


def compared(value: Number, comparison: str, limit: Number) -> Flags:
    """Whether each value compares so with its bound; false where either is not known."""
    left, right = value.top * limit.under, limit.top * value.under
    known = value.known & limit.known
    if comparison == "at_least":
        return known & (left >= right)
    if comparison == "more_than":
        return known & (left > right)
    if comparison == "at_most":
        return known & (left <= right)
    if comparison == "less_than":
        return known & (left < right)
    same: Flags = known & (left == right)
    return same
