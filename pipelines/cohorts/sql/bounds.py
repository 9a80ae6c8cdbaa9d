"""Comparisons as SQL conditions: a number against parameters, percentiles of the day before, and multiples."""

# ruff: noqa: S608 (names and numbers of checked definitions only)

from __future__ import annotations

from datetime import timedelta

from pipelines.cohorts.language.bounds import Bound, Greatest, Multiple, Percentile
from pipelines.cohorts.language.rules import Compare
from pipelines.cohorts.language.values import Value
from pipelines.cohorts.language.vocabulary import PRODUCT, streams
from pipelines.cohorts.sql.scope import Context, Scope
from pipelines.cohorts.sql.statement import Number
from pipelines.cohorts.sql.values import Parts, number
from pipelines.errors import UsageError

_SIGNS = {"at_least": ">=", "more_than": ">", "at_most": "<=", "less_than": "<", "equals": "="}


def compare(ctx: Context, scope: Scope, rule: Compare, parts: Parts, *, staying: bool) -> str:
    """Condition of a comparison, never null.

    Args:
        ctx: the statement.
        scope: for whom and when.
        rule: the comparison.
        parts: what the condition reads is added.
        staying: with the bound of leaving in place of that of entry, for who was a member before.
    """
    sign, bound = _SIGNS[rule.comparison], rule.bound
    if staying and rule.leave_below is not None:
        sign, bound = ">=", rule.leave_below
    if staying and rule.leave_above is not None:
        sign, bound = "<=", rule.leave_above
    value = number(ctx, scope, rule.value, parts)
    bounds = _bounds(ctx, scope, bound, rule.value, parts)
    # The greatest bound is reached when all are; it is not exceeded when one of them is not.
    word, nothing = (" AND ", "true") if sign in (">=", ">") else (" OR ", "false")
    if len(bounds) == 1 and _given(bound):
        return f"coalesce({value.compared(sign, bounds[0])}, false)"
    compared = [f"coalesce({value.compared(sign, each)}, {nothing})" for each in bounds]
    cases = [f"WHEN NOT ({value.known}) THEN false"]
    if not (isinstance(bound, Greatest) and any(_given(each) for each in bound.greatest)):
        missing = " AND ".join(f"{each.num} IS NULL" for each in bounds)
        cases.append(f"WHEN {missing} THEN {'true' if staying else 'false'}")
    return f"CASE {' '.join(cases)} ELSE {_all(word, compared)} END"


def _given(bound: Bound) -> bool:
    """Whether it is a parameter, so that it is never missing."""
    return isinstance(bound, str)


def _all(word: str, conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else f"({word.join(conditions)})"


def _bounds(ctx: Context, scope: Scope, bound: Bound, value: Value, parts: Parts) -> list[Number]:
    if isinstance(bound, str):
        return [scope.param(bound)]
    if isinstance(bound, Greatest):
        return [found for each in bound.greatest for found in _bounds(ctx, scope, each, value, parts)]
    if isinstance(bound, Multiple):
        return [scope.param(bound.multiple).times(number(ctx, scope, bound.of, parts))]
    return [_percentile(ctx, scope, bound, value, parts)]


def _percentile(ctx: Context, scope: Scope, bound: Percentile, value: Value, parts: Parts) -> Number:
    found, whole = percentile(ctx, scope, bound, value)
    join = f"m.key = {found}.key" if scope.cohort.for_each else "true"
    placed = ctx.statement.add(
        f"bound_{found}",
        f"SELECT {scope.shown}, {found}.num, {found}.den\nFROM {scope.moments} m LEFT JOIN {found} ON {join}",
    )
    parts.use(placed)
    return Number(f"{placed}.num", "1" if whole else f"{placed}.den")


def percentile(ctx: Context, scope: Scope, bound: Percentile, value: Value) -> tuple[str, bool]:
    """Part with the percentile of the day before, and whether it is a whole number.

    Its columns are ``key`` (in a family), ``num`` and ``den``; it has no row where there is none.
    """
    if scope.day is None or not scope.by_day:
        raise UsageError(f"cohort {scope.cohort.id}: a percentile is known by day; write evaluate: day")
    end = ctx.start(scope.day)
    yesterday = scope.day - timedelta(days=1)
    columns = ["subject", "key"] if scope.cohort.for_each else ["subject"]
    moments = ctx.statement.add(
        f"{scope.moments}_before",
        f"SELECT {', '.join(columns)}, {end - 1} AS x /* end of {yesterday} */ FROM {scope.moments}",
    )
    before = Scope(scope.cohort, moments, yesterday)
    read = Parts()
    then = number(ctx, before, value, read)
    key = "m.key, " if scope.cohort.for_each else ""
    values = ctx.statement.add(
        "values_before",
        f"SELECT {key}{then.num} AS num, {then.den} AS den\n{read.joined(before)}\n"
        f"WHERE {then.num} <> 0{'' if then.whole else f' AND {then.den} IS NOT NULL'}",
    )
    partition = "PARTITION BY v.key " if scope.cohort.for_each else ""
    order = "v.num" if then.whole else f"(SELECT count(*) FROM {values} o WHERE o.num * v.den < v.num * o.den)"
    ranked = ctx.statement.add(
        "ranked_before",
        f"""
        SELECT v.*, row_number() OVER ({partition}ORDER BY {order}) AS place,
          count(*) OVER ({partition.strip()}) AS n
        FROM {values} v
        """,
    )
    percentile = scope.param(bound.percentile).num
    wanted = [f"place = greatest(1, ({percentile} * n + 99) // 100)"]
    if bound.population is not None:
        wanted.append(f"n >= {scope.param(bound.population).num}")
    if bound.history is not None:
        since = ctx.start(yesterday - timedelta(days=scope.days(bound.history) - 1))
        wanted.append(f"(SELECT min(r.at) FROM {_all_rows(ctx, scope)} r) < {since} /* {bound.history} */")
    found = ctx.statement.add(
        "percentile", f"SELECT {key.replace('m.', '')}num, den FROM {ranked}\nWHERE {' AND '.join(wanted)}"
    )
    return found, then.whole


def _all_rows(ctx: Context, scope: Scope) -> str:
    subject = scope.cohort.subject
    names = [ctx.relation(subject, name) for name in sorted(streams(subject)) if name not in PRODUCT]
    return ctx.statement.add("all_rows", "\nUNION ALL ".join(f"SELECT s.at FROM {name} s" for name in names))
