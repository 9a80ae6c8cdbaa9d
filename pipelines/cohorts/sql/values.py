"""Values as SQL: one named part for each number that is read from a stream, and arithmetic over them.

Each part has a row for each subject and instant, with ``num`` (and ``den`` where it may be a fraction); null where
there is none.
"""

# ruff: noqa: S608 (names and numbers of checked definitions only)

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce

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
from pipelines.cohorts.sql.scope import Context, Scope, conditions, has_key, rows_of
from pipelines.cohorts.sql.statement import Number
from pipelines.errors import UsageError


@dataclass
class Parts:
    """Parts that an expression reads, beside the moments, in the order of their first use."""

    names: list[str] = field(default_factory=list)

    def use(self, name: str) -> str:
        """Remember the part; returns its name."""
        if name not in self.names:
            self.names.append(name)
        return name

    def joined(self, scope: Scope) -> str:
        """FROM clause over the moments and all parts."""
        return "\n".join([f"FROM {scope.moments} m", *(f"JOIN {name} USING {scope.using}" for name in self.names)])


def number(ctx: Context, scope: Scope, value: Term, parts: Parts) -> Number:
    """The expression of a value or parameter.

    Args:
        ctx: the statement; parts are added to it.
        scope: for whom and when.
        value: what to write.
        parts: what the expression reads is added.
    """
    if isinstance(value, str):
        return scope.param(value)
    if isinstance(value, Add | Times):
        terms = value.add if isinstance(value, Add) else value.times
        found = [number(ctx, scope, term, parts) for term in terms]
        return reduce(Number.plus if isinstance(value, Add) else Number.times, found)
    if isinstance(value, Over):
        above, below = (number(ctx, scope, term, parts) for term in value.over)
        return above.over(below)
    if isinstance(value, Share):
        above, below = number(ctx, scope, value.share, parts), number(ctx, scope, value.to, parts)
        return Number("100").times(above).over(below)
    return _read(ctx, scope, value, parts)


def _read(ctx: Context, scope: Scope, value: Value, parts: Parts) -> Number:
    if isinstance(value, MedianGap):
        name = parts.use(_median_gap(ctx, scope, value))
        return Number(f"{name}.num")
    if isinstance(value, Since):
        first = value.since_first is not None
        stream = value.since_first or value.since or ""
        sought = f"m.x - {'min' if first else 'max'}(s.at)"
        name = _aggregate(ctx, scope, f"since_{'first' if first else 'last'}_{stream}", stream, value.where, "", sought)
        return Number(f"{parts.use(name)}.num")
    assert isinstance(value, Events)  # noqa: S101
    label, stream, sought, fraction = _events(value)
    inside = window(ctx, scope, value) + ("" if value.over_all else has_key(scope, stream))
    name = parts.use(_aggregate(ctx, scope, label, stream, value.where, inside, sought))
    return Number(f"{name}.num", f"{name}.den") if fraction else Number(f"{name}.num")


def _events(value: Events) -> tuple[str, str, str, bool]:
    """Label, stream, aggregate, and whether it is a fraction with ``den``."""
    if isinstance(value, Count):
        return f"count_{value.count}", value.count, "coalesce(sum(s.times), 0)", False
    if isinstance(value, Sum):
        return f"sum_{value.of}", value.of, f"coalesce(sum(s.{value.sum} * s.times), 0)", False
    if isinstance(value, Distinct):
        return f"distinct_{value.of}_{value.distinct}", value.of, f"count(DISTINCT s.{value.distinct})", False
    if isinstance(value, Instant):
        kind, stream = ("min", value.first) if value.first else ("max", value.last or "")
        return f"{'first' if value.first else 'last'}_{stream}", stream, f"{kind}(s.at)", False
    assert isinstance(value, Extreme)  # noqa: S101
    if value.avg:
        counted = f"nullif(sum(s.times) FILTER (s.{value.avg} IS NOT NULL), 0)"
        return f"avg_{value.of}", value.of, f"sum(s.{value.avg} * s.times) AS num, {counted} AS den", True
    kind = "min" if value.min else "max"
    return f"{kind}_{value.of}", value.of, f"{kind}(s.{value.min or value.max})", False


def _aggregate(ctx: Context, scope: Scope, label: str, stream: str, where: Where, inside: str, sought: str) -> str:
    relation = rows_of(ctx, scope, stream, where)
    # Wide, so that numbers can be multiplied with each other.
    selected = sought if " AS num" in sought else f"({sought})::HUGEINT AS num"
    return ctx.statement.add(
        label,
        f"""
        SELECT {scope.shown}, {selected}
        FROM {scope.moments} m
        LEFT JOIN {relation} s ON {counting("m")}{inside}{conditions(scope, where, "s")}
        GROUP BY {scope.shown}
        """,
    )


def counting(moment: str) -> str:
    """Condition that a row ``s`` is the subject's and counts at the instant, windows aside."""
    return f"s.subject = {moment}.subject AND s.since <= {moment}.x AND s.until > {moment}.x"


def window(ctx: Context, scope: Scope, value: Events) -> str:
    """Condition that a row ``s`` lies in the window."""
    if value.within is None:
        return ""
    if not scope.by_day:
        return f" AND s.at + {scope.duration(value.within)} > m.x"
    if scope.day is None:
        raise UsageError(f"cohort {scope.cohort.id}: is decided by day, and cannot be asked for inside a day")
    first = scope.day - timedelta(days=scope.days(value.within) - 1)
    return f" AND s.at >= {ctx.start(first)} /* {value.within}: from {first} */"


def _median_gap(ctx: Context, scope: Scope, value: MedianGap) -> str:
    relation = rows_of(ctx, scope, value.median_gap, {})
    order = f"OVER (PARTITION BY {scope.shown} ORDER BY s.at)"
    gaps = ctx.statement.add(
        f"{value.median_gap}_gaps",
        f"""
        SELECT {scope.shown}, s.at - lag(s.at) {order} AS gap
        FROM {scope.moments} m JOIN {relation} s ON {counting("m")}
        """,
    )
    shown = ", ".join(f"g.{name}" for name in scope.columns)
    own = ctx.statement.add(
        f"own_median_gap_{value.median_gap}",
        f"""
        SELECT {shown}, count(*) AS events, list_sort(list(gap) FILTER (gap IS NOT NULL)) AS gaps
        FROM {gaps} g GROUP BY {shown}
        """,
    )
    known, joins = _middle("o.gaps"), f"LEFT JOIN {own} o USING {scope.using}"
    if value.fewer_than is not None:
        other = "NULL"
        if value.otherwise == "category":
            joins += f"\nLEFT JOIN {_category_gap(ctx, scope, value.median_gap)} c USING (subject)"
            other = "c.gap"
        known = f"CASE WHEN coalesce(o.events, 0) < {scope.param(value.fewer_than).num} THEN {other} ELSE {known} END"
    return ctx.statement.add(
        f"median_gap_{value.median_gap}",
        f"SELECT {scope.shown}, ({known})::HUGEINT AS num\nFROM {scope.moments} m\n{joins}",
    )


def _middle(gaps: str) -> str:
    """Median of a sorted list: the mean of the middle two, rounded down; null of nothing."""
    return f"({gaps}[(len({gaps}) + 1) // 2] + {gaps}[len({gaps}) // 2 + 1]) // 2"


def _category_gap(ctx: Context, scope: Scope, stream: str) -> str:
    """Median of all gaps in each customer's category at the start of the day, by subject."""
    if scope.day is None:
        raise UsageError(f"cohort {scope.cohort.id}: categories are known by day, and cannot be asked for inside a day")
    start = ctx.start(scope.day)
    relation, category = rows_of(ctx, scope, stream, {}), ctx.relation(scope.cohort.subject, "category")
    gaps = ctx.statement.add(
        f"{stream}_gaps_before",
        f"""
        SELECT s.subject, s.at - lag(s.at) OVER (PARTITION BY s.subject ORDER BY s.at) AS gap
        FROM {relation} s WHERE s.since < {start} AND s.until >= {start}
        """,
    )
    return ctx.statement.add(
        f"category_gap_{stream}",
        f"""
        WITH held AS (SELECT subject, category FROM {category} WHERE since < {start + 1} AND until >= {start + 1}),
        pooled AS (
          SELECT category, list_sort(list(gap)) AS gaps
          FROM {gaps} JOIN held USING (subject) WHERE gap IS NOT NULL GROUP BY category
        )
        SELECT subject, {_middle("p.gaps")} AS gap FROM held JOIN pooled p USING (category)
        """,
    )
