"""The running totals that day rules are made of: which there are, each once, however many rules ask for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.cohorts.language.bounds import Bound, Greatest, Multiple
from pipelines.cohorts.language.matches import Matches, matches
from pipelines.cohorts.language.rules import Cohort, Compare, leaves
from pipelines.cohorts.language.values import (
    Add,
    Count,
    Distinct,
    Events,
    Extreme,
    Instant,
    MedianGap,
    Over,
    Share,
    Since,
    Sum,
    Times,
    Value,
)
from pipelines.errors import UsageError
from pipelines.signals.units import DAY

#: Longer than any history.
EVER = 1_000_000


@dataclass(frozen=True)
class Total:
    """A number per subject that rows of a stream enter and leave.

    Attributes:
        kind: count, sum, present (rows that have the field), distinct, first, last, min or max.
        stream: name of the stream.
        field: of a sum or distinct; empty otherwise.
        tests: field -> condition, sorted by field.
        days: length of the window in tenant days.
        key: field of the family that it is counted by; empty where it is counted by subject alone.
    """

    kind: str
    stream: str
    field: str
    tests: Matches
    days: int
    key: str

    @property
    def name(self) -> str:
        """Name of the column."""
        tests = [[name, test.any_in, test.flag, test.low, test.high] for name, test in self.tests]
        return json.dumps([self.kind, self.stream, self.field, tests, self.days, self.key], separators=(",", ":"))

    @property
    def fields(self) -> set[str]:
        """Fields that the rows must have."""
        return {name for name in (self.field, self.key, *(name for name, _ in self.tests)) if name}


def totals(cohort: Cohort) -> list[Total]:
    """Every total that a cohort's rule and context are made of, each once."""
    found = {total.name: total for value in _values(cohort) for total in of_value(value, cohort)}
    return [found[name] for name in sorted(found)]


def streams_used(cohorts: Iterable[Cohort]) -> dict[str, set[str]]:
    """Stream -> fields that the totals of the cohorts need."""
    found: dict[str, set[str]] = {}
    for cohort in cohorts:
        for total in totals(cohort):
            found.setdefault(total.stream, set()).update(total.fields)
    return found


def gap_streams(cohort: Cohort) -> set[str]:
    """Streams whose median gaps a cohort's rule asks for."""
    return {found.median_gap for value in _values(cohort) for found in _gaps_in(value)}


def _gaps_in(value: Value) -> Iterator[MedianGap]:
    if isinstance(value, MedianGap):
        yield value
    if isinstance(value, Add | Times | Over):
        terms = value.add if isinstance(value, Add) else value.times if isinstance(value, Times) else value.over
        for term in terms:
            if not isinstance(term, str):
                yield from _gaps_in(term)


def _values(cohort: Cohort) -> Iterator[Value]:
    for leaf in leaves(cohort.rule):
        if isinstance(leaf, Compare):
            yield leaf.value
            for bound in (leaf.bound, leaf.leave_below, leaf.leave_above):
                yield from _in_bound(bound)
    yield from cohort.context.values()


def _in_bound(bound: Bound | None) -> Iterator[Value]:
    if isinstance(bound, Multiple):
        yield bound.of
    if isinstance(bound, Greatest):
        for part in bound.greatest:
            yield from _in_bound(part)


def of_value(value: Value, cohort: Cohort) -> list[Total]:
    """Totals that one value is made of."""
    if isinstance(value, Add | Times | Over):
        terms = value.add if isinstance(value, Add) else value.times if isinstance(value, Times) else value.over
        return [total for term in terms if not isinstance(term, str) for total in of_value(term, cohort)]
    if isinstance(value, MedianGap):
        return []
    if isinstance(value, Extreme) and value.avg:
        return [_total(kind, value.of, value.avg, value, cohort) for kind in ("sum", "present")]
    if isinstance(value, Share):
        return [*of_value(value.share, cohort), *of_value(value.to, cohort)]
    return [total(value, cohort)]


def total(value: Value, cohort: Cohort) -> Total:
    """The total behind a value that is not arithmetic.

    Raises:
        UsageError: the value needs more than totals.
    """
    if isinstance(value, Since):
        kind, stream = ("last", value.since) if value.since else ("first", value.since_first)
        assert stream  # noqa: S101
        return Total(kind, stream, "", matches(value.where, cohort), EVER, "")
    if isinstance(value, Count):
        return _total("count", value.count, "", value, cohort)
    if isinstance(value, Sum):
        return _total("sum", value.of, value.sum, value, cohort)
    if isinstance(value, Distinct):
        return _total("distinct", value.of, value.distinct, value, cohort)
    if isinstance(value, Instant):
        kind, stream = ("last", value.last) if value.last else ("first", value.first)
        assert stream  # noqa: S101
        return _total(kind, stream, "", value, cohort)
    if isinstance(value, Extreme):
        return _total("min" if value.min else "max", value.of, value.min or value.max or "", value, cohort)
    raise UsageError(f"{cohort._file}: {type(value).__name__}: is no single total")


def _total(kind: str, stream: str, field: str, value: Events, cohort: Cohort) -> Total:
    days = cohort.param(value.within) // DAY if value.within else EVER
    key = "" if value.over_all or not cohort.for_each else cohort.for_each
    return Total(kind, stream, field, matches(value.where, cohort), days, key)
