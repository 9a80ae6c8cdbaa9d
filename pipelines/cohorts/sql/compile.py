"""From a cohort to one SELECT of its members at the end of a day."""

# ruff: noqa: S608 (names and numbers of checked definitions only)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from pipelines.cohorts.language.bounds import Percentile
from pipelines.cohorts.language.rules import (
    All,
    AnyOf,
    Cohort,
    Compare,
    Left,
    Member,
    NoneOf,
    Open,
    Rule,
    Then,
    Without,
    leaves,
    named_cohorts,
)
from pipelines.cohorts.language.values import Value
from pipelines.cohorts.language.vocabulary import PRODUCT, streams
from pipelines.cohorts.sql import bounds, carts
from pipelines.cohorts.sql import leaves as parts_of
from pipelines.cohorts.sql.scope import Context, Scope, rows_of
from pipelines.cohorts.sql.statement import quoted
from pipelines.cohorts.sql.streams import LISTS
from pipelines.cohorts.sql.values import Parts
from pipelines.errors import UsageError


def members_sql(
    cohort_id: str,
    cohorts: Mapping[str, Cohort],
    day: date,
    zone: ZoneInfo,
    currency: str,
    *,
    tables: bool = True,
    as_of: int | None = None,
) -> str:
    """One SELECT with ``cohort_id`` and ``subject`` of the members at the end of a day, sorted.

    Args:
        cohort_id: which cohort; of a family, members of all its cohorts.
        cohorts: every cohort by id; others that the rule names are written too.
        day: at whose end.
        zone: of the tenant.
        currency: of the tenant.
        tables: streams are read from the lake's tables and members of the day before from ``cohort_membership``;
            else relations ``visitor_<stream>``, ``customer_<stream>``, ``product_<stream>``, ``customer_category`` and
            ``members_before(cohort_id, subject)`` are there.
        as_of: an instant of the day in microseconds, in place of its end; only for rules of instants.

    Raises:
        UsageError: the rule has something that SQL does not say.
    """
    cohort = cohorts[cohort_id]
    if as_of is not None and cohort.evaluate == "day":
        raise UsageError(f"cohort {cohort.id}: is decided by day, and cannot be asked for inside a day")
    groups = "group_id" in repr([each.model_dump(include={"for_each", "rule"}) for each in _reached(cohort, cohorts)])
    ctx = Context(cohorts, day, zone, currency, tables, as_of, groups)
    found = carts.members(ctx, cohort) if cohort.of_cart else _members(ctx, cohort, _asked(ctx, cohort))
    name = f"{quoted(cohort.id + ':')} || key" if cohort.for_each else quoted(cohort.id)
    return ctx.statement.text(f"SELECT {name} AS cohort_id, subject\nFROM {found}\nORDER BY ALL")


def percentile_sql(
    cohort: Cohort,
    cohorts: Mapping[str, Cohort],
    bound: Percentile,
    value: Value,
    day: date,
    zone: ZoneInfo,
    currency: str,
) -> str:
    """One SELECT with a percentile that a day rule compares with on a day, read from the lake's tables.

    Its columns are ``num`` and ``den``, and in a family ``key``; it has no row where there is none.
    """
    groups = "group_id" in repr([each.model_dump(include={"for_each", "rule"}) for each in _reached(cohort, cohorts)])
    ctx = Context(cohorts, day, zone, currency, True, None, groups)
    found, _ = bounds.percentile(ctx, _asked(ctx, cohort), bound, value)
    return ctx.statement.text(f"SELECT num, den{', key' if cohort.for_each else ''} FROM {found}")


def _reached(cohort: Cohort, cohorts: Mapping[str, Cohort]) -> Iterator[Cohort]:
    """A cohort and those that it names, and so on."""
    yield cohort
    for name in sorted(named_cohorts(cohort.rule) & cohorts.keys() - {cohort.id}):
        yield from _reached(cohorts[name], cohorts)


def _asked(ctx: Context, cohort: Cohort) -> Scope:
    """Every subject of the streams at the last instant before the end of the day."""
    x = f"{ctx.x} AS x /* {ctx.said} */"
    fields = streams(cohort.subject)
    keyed = [name for name in sorted(_named(ctx, cohort)) if cohort.for_each in (None, *fields[name].fields)]
    key = f"unnest({cohort.for_each})" if cohort.for_each in LISTS else cohort.for_each
    wanted = "subject" if key is None else f"subject, {key} AS key"
    selects = [f"SELECT {wanted} FROM {ctx.relation(cohort.subject, name)}" for name in keyed]
    if cohort.evaluate == "day":
        selects.append(_before(ctx, cohort))
    if not selects:
        raise UsageError(f"cohort {cohort.id}: for_each: no stream of the rule has {cohort.for_each!r}; name another")
    everyone = "\nUNION ALL ".join(selects)
    columns = "subject" if key is None else "subject, key"
    known = "" if key is None else " WHERE key IS NOT NULL"
    moments = f"SELECT DISTINCT {columns}, {x} FROM (\n{everyone}\n){known}"
    return Scope(cohort, ctx.statement.add("moments", moments), ctx.day)


def _before(ctx: Context, cohort: Cohort) -> str:
    """SELECT of the members at the end of the day before, in the columns that identify them."""
    if ctx.tables:
        ctx.statement.add(
            "members_before",
            f"SELECT cohort_id, subject FROM cohort_membership\n"
            f"WHERE date = DATE '{ctx.day - timedelta(days=1)}' AND is_member",
        )
    if cohort.for_each is None:
        return f"SELECT subject FROM members_before WHERE cohort_id = {quoted(cohort.id)}"
    prefix = quoted(f"{cohort.id}:")
    key = f"substr(cohort_id, {len(cohort.id) + 2}) AS key"
    return f"SELECT subject, {key} FROM members_before WHERE starts_with(cohort_id, {prefix})"


def _named(ctx: Context, cohort: Cohort) -> set[str]:
    """Streams of the subject that a rule and the cohorts it names speak of."""
    found = {name for name in _words(cohort.rule.model_dump()) if name in streams(cohort.subject)} - set(PRODUCT)
    for leaf in leaves(cohort.rule):
        other = leaf.cohort if isinstance(leaf, Member) else leaf.left if isinstance(leaf, Left) else None
        if other is not None:
            found |= _named(ctx, _other(ctx, cohort, other))
    return found


_OF_STREAMS = {
    "count", "of", "first", "last", "since", "since_first", "median_gap", "without", "after", "event", "open",
    "because_of",
}  # fmt: skip


def _words(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name != "where":
                yield from _words(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item, key)
    elif isinstance(value, str) and key in _OF_STREAMS:
        yield value


def _other(ctx: Context, cohort: Cohort, name: str) -> Cohort:
    other = ctx.cohorts.get(name)
    if other is None or other.subject != cohort.subject or other.for_each or other.of_cart:
        raise UsageError(f"cohort {cohort.id}: {name!r} is not a plain cohort of {cohort.subject}s; name one")
    return other


def _members(ctx: Context, cohort: Cohort, scope: Scope) -> str:
    """Part with the moments at which the subject is a member."""
    for name in ("dwell", "cooldown", *(() if _has_without(cohort.rule) else ("ttl",))):
        if getattr(cohort, name) is not None:
            raise UsageError(
                f"cohort {cohort.id}: {name}: the SQL check does not say it; leave it out to check the rule"
            )
    parts = Parts()
    enters = _condition(ctx, scope, cohort.rule, parts, staying=False)
    where = enters
    if cohort.evaluate == "day":
        if scope.day is None:
            raise UsageError(f"cohort {cohort.id}: is decided by day, and cannot be asked for inside a day")
        stays = _condition(ctx, scope, cohort.rule, parts, staying=True)
        if stays != enters:
            who = "(m.subject, m.key)" if cohort.for_each else "m.subject"
            where = f"{enters}\n  OR ({who} IN ({_before(ctx, cohort)})\n    AND {stays})"
    return ctx.statement.add(f"in_{cohort.id}", f"SELECT {scope.shown}\n{parts.joined(scope)}\nWHERE {where}")


def _has_without(rule: Rule) -> bool:
    return any(isinstance(leaf, Without) for leaf in leaves(rule))


def _condition(ctx: Context, scope: Scope, rule: Rule, parts: Parts, *, staying: bool) -> str:
    """Condition of a rule over the moments and the parts that are joined to them; never null."""
    if isinstance(rule, All | AnyOf | NoneOf):
        inner = rule.all if isinstance(rule, All) else rule.any if isinstance(rule, AnyOf) else rule.none
        conditions = [_condition(ctx, scope, each, parts, staying=staying) for each in inner]
        word = "\n  AND " if isinstance(rule, All) else "\n  OR "
        joined = word.join(conditions)
        return f"NOT ({joined})" if isinstance(rule, NoneOf) else f"({joined})"
    if isinstance(rule, Compare):
        return bounds.compare(ctx, scope, rule, parts, staying=staying)
    return f"{parts.use(_leaf(ctx, scope, rule))}.held"


def _leaf(ctx: Context, scope: Scope, rule: object) -> str:
    if isinstance(rule, Without):
        return parts_of.without(ctx, scope, rule)
    if isinstance(rule, Then):
        return parts_of.then(ctx, scope, rule)
    if isinstance(rule, Open):
        return parts_of.is_open(ctx, scope, rule)
    if isinstance(rule, Member):
        return _member(ctx, scope, rule)
    assert isinstance(rule, Left)  # noqa: S101
    return _left(ctx, scope, rule)


def _member(ctx: Context, scope: Scope, rule: Member) -> str:
    other = _other(ctx, scope.cohort, rule.cohort)
    moments = scope.moments
    if scope.cohort.for_each:
        moments = ctx.statement.add(f"{moments}_of_subjects", f"SELECT DISTINCT subject, x FROM {moments}")
    found = _members(ctx, other, Scope(other, moments, scope.day))
    return ctx.statement.add(
        f"member_of_{other.id}",
        f"SELECT {scope.shown}, (m.subject, m.x) IN (SELECT subject, x FROM {found}) AS held FROM {scope.moments} m",
    )


def _left(ctx: Context, scope: Scope, rule: Left) -> str:
    """Members just before an event that no longer are at it, looked at around each event in time."""
    other = _other(ctx, scope.cohort, rule.left)
    if other.evaluate == "day" or rule.because_of not in streams(scope.cohort.subject):
        raise UsageError(f"cohort {scope.cohort.id}: because_of: {rule.because_of!r} is not a stream; name one")
    events = rows_of(ctx, scope, rule.because_of, {})
    label = f"{rule.because_of}_near"
    near = ctx.statement.add(
        label,
        f"""
        SELECT DISTINCT {scope.shown}, s.at
        FROM {scope.moments} m JOIN {events} s
        ON s.subject = m.subject AND s.since = s.at AND s.at <= m.x AND s.at + {scope.duration(rule.within)} > m.x
        """,
    )
    around = ctx.statement.add(
        f"around_{rule.because_of}",
        f"SELECT n.subject, n.at - 1 AS x FROM {near} n\nUNION SELECT n.subject, n.at FROM {near} n",
    )
    found = _members(ctx, other, Scope(other, around, None))
    shown = ", ".join(f"n.{name}" for name in scope.columns)
    gone = ctx.statement.add(
        f"left_{other.id}",
        f"""
        SELECT DISTINCT {shown} FROM {near} n
        WHERE (n.subject, n.at - 1) IN (SELECT subject, x FROM {found})
          AND (n.subject, n.at) NOT IN (SELECT subject, x FROM {found})
        """,
    )
    columns = ", ".join(f"m.{name}" for name in scope.columns)
    return ctx.statement.add(
        f"has_left_{other.id}",
        f"SELECT {scope.shown}, ({columns}) IN (SELECT ({columns.replace('m.', 'g.')}) FROM {gone} g) AS held\n"
        f"FROM {scope.moments} m",
    )
