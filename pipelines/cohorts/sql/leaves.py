"""Leaves that are not comparisons as SQL: absence, sequence, what is open, and members of other cohorts.

Each becomes a part with a row for each subject and instant, and ``held``.
"""

# ruff: noqa: S608 (names and numbers of checked definitions only)

from __future__ import annotations

from pipelines.cohorts.language.rules import Open, Step, Then, Without
from pipelines.cohorts.language.values import Where
from pipelines.cohorts.language.vocabulary import PRODUCT
from pipelines.cohorts.sql.scope import Context, Scope, conditions, has_key, rows_of
from pipelines.cohorts.sql.statement import INF
from pipelines.cohorts.sql.values import counting
from pipelines.errors import UsageError


def is_open(ctx: Context, scope: Scope, rule: Open) -> str:
    """Whether a row of the stream counts."""
    relation = rows_of(ctx, scope, rule.open, rule.where)
    return ctx.statement.add(
        f"open_{rule.open}",
        f"""
        SELECT {scope.shown}, count(s.subject) > 0 AS held
        FROM {scope.moments} m
        LEFT JOIN {relation} s ON {counting("m")}{has_key(scope, rule.open)}{conditions(scope, rule.where, "s")}
        GROUP BY {scope.shown}
        """,
    )


def _inside(ctx: Context, scope: Scope, label: str, spans: str) -> str:
    """Whether the instant lies in one of the times ``[starts, ends)`` of the subject."""
    if scope.cohort.for_each:
        raise UsageError(f"cohort {scope.cohort.id}: for_each: absence and sequence know no family; remove it")
    return ctx.statement.add(
        label,
        f"""
        SELECT {scope.shown}, count(s.subject) > 0 AS held
        FROM {scope.moments} m
        LEFT JOIN {spans} s ON s.subject = m.subject AND s.starts <= m.x AND m.x < s.ends
        GROUP BY {scope.shown}
        """,
    )


def without(ctx: Context, scope: Scope, rule: Without) -> str:
    """Absence: after each event that nothing followed in time."""
    cohort = scope.cohort
    within = scope.duration(rule.within)
    after = rows_of(ctx, scope, rule.after, rule.where)
    followed = [
        f"AND NOT EXISTS (FROM {rows_of(ctx, scope, name, {})} w WHERE w.subject = a.subject\n"
        f"    AND w.at {'>' if name == rule.after else '>='} a.at AND w.at <= a.at + {within})"
        for name in rule.without
    ]
    ends = [f"a.at + {scope.duration(cohort.ttl)}"] if cohort.ttl else []
    ends += [
        f"coalesce((SELECT min(u.at) FROM {rows_of(ctx, scope, name, {})} u\n"
        f"    WHERE u.subject = a.subject AND u.at >= a.at + {within}), {INF})"
        for name in cohort.until
    ]
    spans = ctx.statement.add(
        f"nothing_after_{rule.after}",
        f"SELECT a.subject, a.at + {within} AS starts,\n  {_least(ends)} AS ends\n"
        f"FROM {after} a\nWHERE true{conditions(scope, rule.where, 'a')}\n  " + "\n  ".join(followed),
    )
    return _inside(ctx, scope, f"silent_after_{rule.after}", spans)


def _least(ends: list[str]) -> str:
    if not ends:
        return str(INF)
    return ends[0] if len(ends) == 1 else f"least({', '.join(ends)})"


def then(ctx: Context, scope: Scope, rule: Then) -> str:
    """Sequence: from the second event of each pair on."""
    first, own_first = _steps(ctx, scope, (rule.first,), rule.same, "first")
    second, own_second = _steps(ctx, scope, (rule.then,), rule.same, "second")
    if not own_first and not own_second:
        raise UsageError(f"cohort {scope.cohort.id}: rule: first or then must be an event of the subject")
    person = "f" if own_first else "t"
    both = " AND f.subject = t.subject" if own_first and own_second else ""
    pairs = ctx.statement.add(
        "pairs",
        f"""
        SELECT {person}.subject, t.same, t.at AS t2, t.since, t.until, max(f.at) AS t1
        FROM {second} t JOIN {first} f ON f.same = t.same{both} AND f.at <= t.at
        GROUP BY ALL
        """,
    )
    wanted = ["true"]
    if rule.within is not None:
        wanted.append(f"p.t1 >= p.t2 - {scope.duration(rule.within)}")
    wanted += [
        f"NOT EXISTS (FROM {relation} u WHERE u.same = p.same{_person(own, 'u')} AND u.at > p.t1 AND u.at <= p.t2)"
        for relation, own in _each(ctx, scope, rule.unless, rule.same, "unless")
    ]
    ends = ["p.until", "f.until"]
    ends += [f"p.t1 + {scope.duration(rule.lasts)}"] if rule.lasts else []
    ends += [f"p.t2 + {scope.duration(rule.lasts_after)}"] if rule.lasts_after else []
    ends += [
        f"coalesce((SELECT min(u.at) FROM {relation} u WHERE u.same = p.same{_person(own, 'u')} "
        f"AND u.at > p.t2), {INF})"
        for relation, own in _each(ctx, scope, rule.until, rule.same, "ending")
    ]
    met = "\n  AND ".join(wanted)
    spans = ctx.statement.add(
        "sequences",
        f"SELECT p.subject, greatest(p.t2, p.since, f.since) AS starts,\n  {_least(ends)} AS ends\n"
        f"FROM {pairs} p JOIN {first} f ON f.same = p.same AND f.at = p.t1{_person(own_first, 'f')}\nWHERE {met}",
    )
    return _inside(ctx, scope, "in_sequence", spans)


def _person(own: bool, row: str) -> str:
    return f" AND {row}.subject = p.subject" if own else ""


def _each(ctx: Context, scope: Scope, steps: tuple[Step, ...], same: str, label: str) -> list[tuple[str, bool]]:
    """Relations of several steps, those of subjects and those of products apart."""
    return [_steps(ctx, scope, (step,), same, label) for step in steps]


def _steps(ctx: Context, scope: Scope, steps: tuple[Step, ...], same: str, label: str) -> tuple[str, bool]:
    """Relation ``subject``, ``same``, ``at``, ``since``, ``until`` of the events, and whether they are the subject's.

    Raises:
        UsageError: one step names events of subjects and of products.
    """
    named = [(name, step.where) for step in steps for name in step.event]
    kinds = {name in PRODUCT for name, _ in named}
    if len(kinds) > 1:
        raise UsageError(f"cohort {scope.cohort.id}: rule: {label}: events of products need a step of their own")
    own = kinds == {False}
    selects = [_select(ctx, scope, name, where, same, own) for name, where in named]
    return ctx.statement.add(f"{label}_events", "\nUNION ALL ".join(selects)), own


def _select(ctx: Context, scope: Scope, name: str, where: Where, same: str, own: bool) -> str:
    relation = rows_of(ctx, scope, name, where)
    person = "s.subject" if own else "NULL AS subject"
    return (
        f"SELECT {person}, s.{same} AS same, s.at, s.since, s.until FROM {relation} s "
        f"WHERE s.{same} IS NOT NULL{conditions(scope, where, 's')}"
    )
