"""Numbers about the subject, exact, from its rows one by one; and the rows that a number is made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from operator import add, mul

import polars as pl

from pipelines.cohorts.daily.gaps import medians
from pipelines.cohorts.explain.case import At, Case
from pipelines.cohorts.explain.rows import Row, counts, has_key, satisfies
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
    Term,
    Times,
    Value,
    Where,
)
from pipelines.cohorts.streams.categories import top_categories
from pipelines.signals.units import DAY

_THOUSANDTHS = ("ratio", "quantity")


def parameter(at: At, reference: str) -> Fraction:
    """A parameter as a number."""
    unit = at.cohort.params[reference.removeprefix("$")].unit
    return Fraction(at.cohort.param(reference), 1000 if unit in _THOUSANDTHS else 1)


def number(case: Case, at: At, what: Term) -> Fraction | None:
    """A value or parameter; None where there is no such number."""
    if isinstance(what, str):
        return parameter(at, what)
    if isinstance(what, Add | Times):
        terms = [number(case, at, term) for term in terms_of(what)]
        known = [term for term in terms if term is not None]
        return reduce(add if isinstance(what, Add) else mul, known) if len(known) == len(terms) else None
    if isinstance(what, Over | Share):
        above, below = (number(case, at, term) for term in terms_of(what))
        if above is None or not below:
            return None
        return above / below * (100 if isinstance(what, Share) else 1)
    if isinstance(what, MedianGap):
        return _median_gap(case, at, what)
    found = rows_of(case, at, what)
    if isinstance(what, Since):
        happened = [row["at"] for row in found]
        return Fraction(at.x - (max(happened) if what.since else min(happened))) if happened else None
    return _folded(what, found)


def terms_of(what: Add | Times | Over | Share) -> tuple[Term, ...]:
    """Parts of an arithmetic."""
    if isinstance(what, Share):
        return (what.share, what.to)
    return what.add if isinstance(what, Add) else what.times if isinstance(what, Times) else what.over


def _folded(what: Value, rows: list[Row]) -> Fraction | None:
    if isinstance(what, Count):
        return Fraction(sum(row["times"] for row in rows))
    if isinstance(what, Distinct):
        return Fraction(len({row[what.distinct] for row in rows} - {None}))
    if isinstance(what, Sum):
        return Fraction(sum((row[what.sum] or 0) * row["times"] for row in rows))
    if isinstance(what, Instant):
        happened = [row["at"] for row in rows]
        return Fraction(min(happened) if what.first else max(happened)) if happened else None
    assert isinstance(what, Extreme)  # noqa: S101
    name = what.min or what.max or what.avg or ""
    known = [row for row in rows if row[name] is not None]
    if not known:
        return None
    if what.avg:
        return Fraction(sum(row[name] * row["times"] for row in known), sum(row["times"] for row in known))
    return Fraction((min if what.min else max)(row[name] for row in known))


def stream_of(what: Value) -> str:
    """Stream of a value that is read from one."""
    if isinstance(what, Count):
        return what.count
    if isinstance(what, Since):
        return what.since or what.since_first or ""
    if isinstance(what, Instant):
        return what.first or what.last or ""
    return what.median_gap if isinstance(what, MedianGap) else what.of  # type: ignore[union-attr]


def rows_of(case: Case, at: At, what: Value) -> list[Row]:
    """Rows that a value which is read from one stream is made of."""
    where: Where = getattr(what, "where", {})
    within = what.within if isinstance(what, Events) else None
    found = counting(case, at, stream_of(what), where)
    if isinstance(what, Events) and not what.over_all:
        found = [row for row in found if has_key(at.cohort, row, at.key)]
    return found if within is None else [row for row in found if row["at"] >= _window(case, at, within)]


def counting(case: Case, at: At, stream: str, where: Where) -> list[Row]:
    """Rows of a stream that are the subject's at the instant and satisfy the conditions, whatever their window."""
    rows = case.rows.of(at.cohort, stream)
    return [row for row in rows if counts(row, at.x) and satisfies(at.cohort, row, where)]


def _window(case: Case, at: At, within: str) -> int:
    """First instant of a window: of the tenant days that end with the day, or of the time before the instant."""
    length = at.cohort.param(within)
    if at.cohort.evaluate == "day":
        return case.start(case.day.date - timedelta(days=length // DAY - 1))
    return at.x - length + 1


def made_of(case: Case, at: At, what: Term) -> list[Row]:
    """Rows of every stream that a value reads, each once."""
    found = [row for each in read_in(what) for row in rows_of(case, at, each)]
    return list({repr(sorted(row.items())): row for row in found}.values())


def read_in(what: Term) -> Iterator[Value]:
    """Numbers of an arithmetic that are read from streams; a number that is none is itself."""
    if isinstance(what, Add | Times | Over | Share):
        for term in terms_of(what):
            yield from read_in(term)
    elif not isinstance(what, str):
        yield what


def _median(gaps: list[int]) -> Fraction | None:
    """The mean of the middle two, rounded down."""
    ordered = sorted(gaps)
    if not ordered:
        return None
    return Fraction((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2)


def _median_gap(case: Case, at: At, what: MedianGap) -> Fraction | None:
    happened = sorted(row["at"] for row in counting(case, at, what.median_gap, {}))
    if what.fewer_than and what.otherwise and len(happened) < at.cohort.param(what.fewer_than):
        return _usual_gap(case, what.median_gap)
    return _median([two - one for one, two in pairwise(happened)])


def _usual_gap(case: Case, stream: str) -> Fraction | None:
    """Median of all gaps of the customers of the subject's category, by what the day before knew."""
    if case.rows.kind != "customer":
        return None
    known = case.rows.customers
    held = top_categories(known).filter(pl.col("day") <= case.day.date.toordinal())
    held = held.unique("subject", keep="last", maintain_order=True)
    own = held.filter(pl.col("subject") == case.subject)["category"]
    if own.is_empty():
        return None
    seen = case.start(case.day.date)
    alike = held.filter(pl.col("category") == own[0]).select("subject", "category")
    rows = known.rows(stream, set()).filter((pl.col("since") < seen) & (pl.col("until") >= seen))
    ordered = rows.join(alike, on="subject").sort("subject", "at")
    gaps = ordered.select("category", (pl.col("at") - pl.col("at").shift(1).over("subject")).alias("gap")).drop_nulls()
    found = medians(gaps, "category")
    return Fraction(found["median"][0]) if found.height else None
