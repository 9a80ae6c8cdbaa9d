"""Entries and exits of rules of instants, found by asking at every instant at which something could change."""

from __future__ import annotations

from datetime import timedelta

from pipelines.cohorts.language import bounds as b
from pipelines.cohorts.language import rules as r
from pipelines.cohorts.language import values as v
from tests.cohorts.rule_oracle import At, bound_of, holds, subjects, value
from tests.cohorts.rule_rows import INF


def changes(world, cohort_id, start, end):
    """Entries and exits of a rule of instants in ``[start, end)``: sorted (at, cohort id, subject, direction).

    What is true just before ``start`` is no entry.
    """
    cohort = world.cohorts[cohort_id]
    found = []
    for subject, key in subjects(world, cohort, world.day_at(start)):
        name = cohort_id if key is None else f"{cohort_id}:{key}"
        inside = holds(world, cohort, cohort.rule, At(subject, key, start - 1, world.day_at(start - 1)))
        for x in sorted({start, *candidates(world, cohort, subject, mornings(world, start, end))}):
            if start <= x < end:
                now = holds(world, cohort, cohort.rule, At(subject, key, x, world.day_at(x)))
                if now != inside:
                    found.append((x, name, subject, "entered" if now else "exited"))
                inside = now
    return sorted(found)


def mornings(world, start, end):
    """Instants at which days begin: what is known by day changes then."""
    day, found = world.day_at(start), []
    while world.start(day) < end:
        found.append(world.start(day))
        day += timedelta(days=1)
    return found


def candidates(world, cohort, subject, days):
    """Every instant at which the rule could change for a subject: those of rows, and durations after them."""
    steps = {0, 1}
    for each in [cohort, *(world.cohorts[name] for name in other_cohorts(cohort))]:
        steps |= {each.param(name) + more for name, p in each.params.items() if p.unit == "duration" for more in (0, 1)}
    instants, own = set(), list(days)
    for name, rows in world.rows.items():
        for row in rows:
            if name in ("product_crossing", "customer_category") or row["subject"] == subject:
                own += [row["at"], row["since"], *([row["until"]] if row["until"] < INF else [])]
    instants |= {at + step for at in own for step in steps}
    for leaf in r.leaves(cohort.rule):
        instants |= due(world, cohort, leaf, subject, own)
    return instants


def other_cohorts(cohort):
    return [
        leaf.cohort if isinstance(leaf, r.Member) else leaf.left
        for leaf in r.leaves(cohort.rule)
        if isinstance(leaf, r.Member | r.Left)
    ]


def due(world, cohort, leaf, subject, own):
    """Instants at which the time since an event reaches a bound that depends on the subject."""
    if isinstance(leaf, r.NoneOf | r.Member | r.Left):
        found = set()
        for name in other_cohorts(cohort):
            for other in r.leaves(world.cohorts[name].rule):
                if not isinstance(other, r.Member | r.Left):
                    found |= due(world, world.cohorts[name], other, subject, own)
        return found
    if not isinstance(leaf, r.Compare) or not isinstance(leaf.value, v.Since):
        return set()
    found = set()
    for x in own:
        at = At(subject, None, x, world.day_at(x))
        waited = value(world, cohort, leaf.value, at)
        for bound in leaf.bound.greatest if isinstance(leaf.bound, b.Greatest) else (leaf.bound,):
            wait = bound_of(world, cohort, bound, leaf.value, at)
            if waited is not None and wait is not None:
                found |= {x - waited + wait, x - waited + wait + 1}
    return {int(x) for x in found}
