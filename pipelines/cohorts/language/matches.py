"""Conditions of a rule on the fields of a row, with their parameters resolved."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.values import AnyIn, AtLeast, Where


@dataclass(frozen=True)
class Match:
    """A condition on a field, parameters resolved.

    Attributes:
        any_in: the field is one of these texts.
        flag: the field is this flag.
        low: the number is at least this.
        high: the number is at most this.
    """

    any_in: tuple[str, ...] | None = None
    flag: bool | None = None
    low: int | None = None
    high: int | None = None


#: Field -> condition, sorted by field.
Matches = tuple[tuple[str, Match], ...]


def matches(where: Where, cohort: Cohort) -> Matches:
    """Conditions with their parameters resolved, sorted by field."""
    found = {}
    for name, condition in where.items():
        if isinstance(condition, bool):
            found[name] = Match(flag=condition)
        elif isinstance(condition, str):
            found[name] = Match(any_in=(condition,))
        elif isinstance(condition, AnyIn):
            found[name] = Match(any_in=tuple(sorted(condition.any_in)))
        elif isinstance(condition, AtLeast):
            found[name] = Match(low=cohort.param(condition.at_least))
        else:
            found[name] = Match(high=cohort.param(condition.at_most))
    return tuple(sorted(found.items()))


def holds(conditions: Matches) -> pl.Expr:
    """Whether a row satisfies every condition; a field that is not known satisfies none."""
    if not conditions:
        return pl.lit(True)
    return pl.all_horizontal([_one(name, match) for name, match in conditions]).fill_null(False)


def _one(name: str, match: Match) -> pl.Expr:
    field = pl.col(name)
    if match.any_in is not None:
        return field.is_in(list(match.any_in)) if len(match.any_in) > 1 else field == match.any_in[0]
    if match.flag is not None:
        return field if match.flag else ~field
    return field >= match.low if match.low is not None else field <= match.high
