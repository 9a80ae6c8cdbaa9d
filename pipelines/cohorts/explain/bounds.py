"""What numbers are compared with, for the subject: parameters, multiples, percentiles over all subjects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from pipelines.cohorts.explain.case import At, Case
from pipelines.cohorts.explain.values import number, parameter
from pipelines.cohorts.language import phrases
from pipelines.cohorts.language.bounds import Bound, Greatest, Multiple, Percentile
from pipelines.cohorts.language.values import Value
from pipelines.cohorts.sql.compile import percentile_sql


@dataclass(frozen=True)
class Limit:
    """A bound.

    Attributes:
        number: None where there is none.
        source: what it was taken from, where it is no parameter.
    """

    number: Fraction | None
    source: str | None = None


def limit(case: Case, at: At, bound: Bound, value: Value) -> Limit:
    """The bound that a value of the subject is compared with."""
    if isinstance(bound, str):
        return Limit(parameter(at, bound))
    if isinstance(bound, Multiple):
        of = number(case, at, bound.of)
        said = f"{phrases.number(at.cohort, bound.multiple)} times {phrases.value(at.cohort, bound.of)}"
        return Limit(None if of is None else of * parameter(at, bound.multiple), said)
    if isinstance(bound, Greatest):
        parts = [limit(case, at, each, value) for each in bound.greatest]
        known = [each for each in parts if each.number is not None]
        return max(known, key=lambda each: each.number or 0) if known else parts[-1]
    return _percentile(case, at, bound, value)


def _percentile(case: Case, at: At, bound: Percentile, value: Value) -> Limit:
    name = f"{at.cohort.id} {at.key} {bound.model_dump_json()} {value.model_dump_json()}"
    if name not in case.bounds:
        case.bounds[name] = _asked(case, at, bound, value)
    yesterday = case.day.date - timedelta(days=1)
    said = f"the {phrases.ordinal(at.cohort, bound.percentile)} percentile"
    said += f" of all {at.cohort.subject}s with one at the end of {yesterday}"
    needs = [
        f"{phrases.number(at.cohort, bound.population)} of them" if bound.population else "",
        f"data of {phrases.number(at.cohort, bound.history)}" if bound.history else "",
    ]
    if case.bounds[name] is None and any(needs):
        said += f", which needs {phrases.joined(filter(None, needs), 'and')}"
    return Limit(case.bounds[name], said)


def _asked(case: Case, at: At, bound: Percentile, value: Value) -> Fraction | None:
    config = case.tenant.config
    sql = percentile_sql(at.cohort, case.definitions, bound, value, case.day.date, case.tenant.zone, config.currency)
    rows = case.query(sql)
    own = [row for row in rows if at.cohort.for_each is None or row[2] == at.key]
    return Fraction(int(own[0][0]), int(own[0][1])) if own else None
