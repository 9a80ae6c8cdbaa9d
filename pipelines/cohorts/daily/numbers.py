"""Values and bounds of rules as whole-number fractions over many subjects of a space at once.

What is the same for all of them stays one number and is never spelled out.
"""

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
_ONE: Ints = np.array(1)
_YES: Flags = np.array(True)


@dataclass(frozen=True)
class Number:
    """A fraction for each row of a scope; a part that is the same for all rows may have no dimension.

    Attributes:
        top: numerator.
        under: denominator, above zero where known.
        known: whether there is a value at all.
    """

    top: Ints
    under: Ints
    known: Flags

    def spread(self, height: int) -> Number:
        """The same with every part as long as the scope."""
        return Number(
            np.broadcast_to(self.top, height), np.broadcast_to(self.under, height), np.broadcast_to(self.known, height)
        )


@dataclass(frozen=True)
class Scope:
    """Where values are looked up.

    Attributes:
        state: the totals.
        cohort: whose parameters apply.
        as_of: last instant that is seen, for ``since``; microseconds.
        gaps: stream -> times between the subjects' events, for ``median_gap``.
        rows: rows of the cohort's space that are looked at; all where not given.
    """

    state: State
    cohort: Cohort
    as_of: int
    gaps: Mapping[str, DayGaps] = field(default_factory=dict)
    rows: Ints | None = None

    @property
    def key(self) -> str:
        """Field of the cohort's family, if it has one."""
        return self.cohort.for_each or ""

    @property
    def height(self) -> int:
        """Number of rows that are looked at."""
        return self.state.space(self.key).height if self.rows is None else len(self.rows)

    def of_subjects(self, values: Ints) -> Ints:
        """Of one value for each subject, those of the rows."""
        if self.key:
            return values[self.state.owners(self.key, self.rows)]
        return values if self.rows is None else values[self.rows]


def number(scope: Scope, term: Term) -> Number:
    """A value, or a parameter, for each row of a scope."""
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
    """A parameter, the same for each row."""
    value = scope.cohort.param(reference)
    unit = scope.cohort.params[reference.removeprefix("$")].unit
    return Number(np.array(value), np.array(1000) if unit in _THOUSANDTHS else _ONE, _YES)


def _column(scope: Scope, found: Total) -> Number:
    values = scope.state.space(found.key)[found.name]
    if not found.key:
        values = scope.of_subjects(values)
    elif scope.rows is not None:
        values = values[scope.rows]
    return Number(values, _ONE, values != NONE)


def _gap(scope: Scope, term: MedianGap) -> Number:
    gaps = scope.gaps[term.median_gap]
    values = gaps.own
    if term.otherwise and term.fewer_than:
        values = np.where(gaps.orders < scope.cohort.param(term.fewer_than), gaps.usual, values)
    values = scope.of_subjects(values)
    return Number(values, _ONE, values != NONE)


def _folded(scope: Scope, terms: tuple[Term, ...], fold: object) -> Number:
    result = number(scope, terms[0])
    for term in terms[1:]:
        result = fold(result, number(scope, term))  # type: ignore[operator]
    return result


def _add(one: Number, other: Number) -> Number:
    if one.under is _ONE and other.under is _ONE:
        return Number(one.top + other.top, _ONE, one.known & other.known)
    top = one.top * other.under + other.top * one.under
    return Number(top, _under(one, other), one.known & other.known)


def _times(one: Number, other: Number) -> Number:
    return Number(one.top * other.top, _under(one, other), one.known & other.known)


def _under(one: Number, other: Number) -> Ints:
    if one.under is _ONE:
        return other.under
    return one.under if other.under is _ONE else one.under * other.under


def _by(value: Ints, factor: Ints) -> Ints:
    return value if factor is _ONE else value * factor


def _over(one: Number, other: Number) -> Number:
    known = one.known & other.known & (other.top != 0)
    sign = np.sign(other.top)
    top, under = _by(one.top, other.under) * sign, _by(other.top, one.under) * sign
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
    second = other.known & (~one.known | (_by(other.top, one.under) > _by(one.top, other.under)))
    return Number(
        np.where(second, other.top, one.top), np.where(second, other.under, one.under), one.known | other.known
    )


def _percentile(scope: Scope, limit: Percentile, value: Value) -> Number:
    found = scope.state.bounds.get(percentile_name(scope.cohort, limit, value))
    return Number(np.array(found or 0), _ONE, np.array(found is not None))


def percentile_name(cohort: Cohort, limit: Percentile, value: Value) -> str:
    """Name of a percentile among the bounds of a state."""
    share = cohort.param(limit.percentile)
    population = cohort.param(limit.population) if limit.population else 0
    history = cohort.param(limit.history) if limit.history else 0
    made_of = ",".join(total.name for total in of_value(value, cohort))
    return f"{cohort.for_each or ''}|{share}|{population}|{history}|{value.model_dump_json()}|{made_of}"


def compared(value: Number, comparison: str, limit: Number) -> Flags:
    """Whether each value compares so with its bound; false where either is not known."""
    left, right = _by(value.top, limit.under), _by(limit.top, value.under)
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
