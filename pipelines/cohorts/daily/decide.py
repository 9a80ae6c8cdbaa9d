"""Whether rules hold at the end of a day, for many subjects at once: to enter, and to stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from pipelines.cohorts.daily.numbers import Scope, bound, compared, number, percentile_name
from pipelines.cohorts.daily.space import Flags, Ints
from pipelines.cohorts.language.bounds import Bound, Greatest, Percentile
from pipelines.cohorts.language.rules import All, AnyOf, Cohort, Compare, Member, NoneOf, Rule, leaves
from pipelines.cohorts.language.values import Value
from pipelines.errors import UsageError
from pipelines.signals.definitions import Strict
from pipelines.signals.units import DAY

#: Cohort id -> its members at the end of the day.
Members = Mapping[str, pl.Series]


def holds(scope: Scope, rule: Rule, members: Members, *, stay: bool) -> Flags:
    """Whether a rule holds for each row of a scope.

    Args:
        scope: totals at the end of the day.
        rule: the rule, or a part of it.
        members: of the cohorts that rules name.
        stay: compare with the bounds of leaving where there are such.
    """
    if isinstance(rule, All | AnyOf | NoneOf):
        found = [holds(scope, part, members, stay=stay) for part in _parts(rule)]
        if isinstance(rule, All):
            return np.logical_and.reduce(found)  # type: ignore[no-any-return]
        some = np.logical_or.reduce(found)
        return some if isinstance(rule, AnyOf) else ~some  # type: ignore[no-any-return]
    if isinstance(rule, Compare):
        return _compares(scope, rule, stay=stay)
    if isinstance(rule, Member):
        state = scope.state
        inside = np.zeros(state.subjects.height, dtype=np.bool_)
        inside[state.subjects.of(members[rule.cohort])] = True
        return inside[state.owners(scope.key, scope.rows)]
    raise UsageError(f"{scope.cohort._file}: rule: {type(rule).__name__.lower()} needs evaluate: instant")


def _parts(rule: All | AnyOf | NoneOf) -> Sequence[Rule]:
    if isinstance(rule, All):
        return rule.all
    return rule.any if isinstance(rule, AnyOf) else rule.none


def _compares(scope: Scope, rule: Compare, *, stay: bool) -> Flags:
    value = number(scope, rule.value)
    comparison, limit = rule.comparison, rule.bound
    if stay and rule.leave_below is not None:
        comparison, limit = "at_least", rule.leave_below
    if stay and rule.leave_above is not None:
        comparison, limit = "at_most", rule.leave_above
    against = bound(scope, limit, rule.value)
    found = compared(value, comparison, against)
    # Nobody leaves because a percentile is not there.
    found = found | (value.known & ~against.known) if stay else found
    return np.broadcast_to(found, scope.height)


#: Words of a rule whose truth changes although no total does.
_MOVING = {"since", "since_first", "median_gap", "percentile", "cohort"}


def is_steady(rule: Strict) -> bool:
    """Whether a rule or a value is as on the day before for whoever has the same totals."""
    words = _words(rule.model_dump(exclude_none=True))
    return not words & _MOVING


def _words(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(_words(each) for each in value.values()))
    return set().union(*(_words(each) for each in value)) if isinstance(value, list | tuple) else set()


def percentiles(cohort: Cohort) -> Iterator[tuple[str, Percentile, Value]]:
    """Every percentile in a cohort's rule: its name among the bounds, and what it is of."""
    for leaf in leaves(cohort.rule):
        if isinstance(leaf, Compare):
            for limit in (leaf.bound, leaf.leave_below, leaf.leave_above):
                for found in _percentiles_in(limit):
                    yield percentile_name(cohort, found, leaf.value), found, leaf.value


def _percentiles_in(limit: Bound | None) -> Iterator[Percentile]:
    if isinstance(limit, Percentile):
        yield limit
    if isinstance(limit, Greatest):
        for part in limit.greatest:
            yield from _percentiles_in(part)


def bounds(scope: Scope, today: int) -> dict[str, int]:
    """Percentiles of a cohort's values at the end of a day, by name; the nearest rank, none where too few have one."""
    found = {}
    cohort = scope.cohort
    for name, limit, value in percentiles(cohort):
        values = number(scope, value).spread(scope.height)
        if (values.under != 1).any():
            raise UsageError(f"{cohort._file}: percentile: is of whole numbers only; this value is a fraction")
        present = values.top[values.known & (values.top != 0)]
        fewest = max(1, cohort.param(limit.population) if limit.population else 1)
        days = cohort.param(limit.history) // DAY if limit.history else 0
        if len(present) < fewest or not scope.state.first_day or today - scope.state.first_day < days:
            continue
        found[name] = nearest_rank(present, cohort.param(limit.percentile))
    return found


def nearest_rank(values: Ints, percent: int) -> int:
    """Percentile of some values: the least of them that so many percent do not exceed."""
    rank = max(1, -(-percent * len(values) // 100))
    return int(np.partition(values, rank - 1)[rank - 1])
