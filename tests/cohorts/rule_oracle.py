"""A naive reading of the rule language: one subject, one instant, one row at a time; rows are as in ``rule_rows``."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

from pipelines.cohorts.language import bounds as b
from pipelines.cohorts.language import rules as r
from pipelines.cohorts.language import values as v
from pipelines.cohorts.language.vocabulary import PRODUCT, streams
from tests.cohorts.rule_rows import counts, of_key, satisfies, sequences, silences

# Values


def parameter(cohort, name):
    name = name.removeprefix("$")
    return Fraction(cohort.param(name), 1000 if cohort.params[name].unit == "ratio" else 1)


class At:
    """Whose value, when: a subject, in a family a key, an instant, and for day rules the day."""

    def __init__(self, subject, key, x, day=None):
        self.subject, self.key, self.x, self.day = subject, key, x, day


def rows_for(world, cohort, stream, where, at, within=None, over_all=True):
    found = []
    for row in world.stream(cohort.subject, stream):
        if row["subject"] != at.subject or not counts(row, at.x) or not satisfies(world, cohort, row, where):
            continue
        if cohort.for_each and not over_all and not of_key(cohort, row, at.key):
            continue
        if within is not None:
            if cohort.evaluate == "day":
                days = cohort.param(within) // 86_400_000_000
                if row["at"] < world.start(at.day - timedelta(days=days - 1)):
                    continue
            elif not row["at"] + cohort.param(within) > at.x:
                continue
        found.append(row)
    return found


def value(world, cohort, what, at):
    """A fraction, or None where there is none."""
    if isinstance(what, str):
        return parameter(cohort, what)
    if isinstance(what, v.Add | v.Times):
        terms = [value(world, cohort, term, at) for term in (what.add if isinstance(what, v.Add) else what.times)]
        if None in terms:
            return None
        total = terms[0]
        for term in terms[1:]:
            total = total + term if isinstance(what, v.Add) else total * term
        return total
    if isinstance(what, v.Over | v.Share):
        pair = what.over if isinstance(what, v.Over) else (what.share, what.to)
        above, below = (value(world, cohort, term, at) for term in pair)
        if above is None or not below:
            return None
        return above / below * (100 if isinstance(what, v.Share) else 1)
    if isinstance(what, v.MedianGap):
        return median_gap(world, cohort, what, at)
    if isinstance(what, v.Since):
        found = [row["at"] for row in rows_for(world, cohort, what.since or what.since_first, what.where, at)]
        return Fraction(at.x - (max(found) if what.since else min(found))) if found else None
    return of_events(world, cohort, what, at)


def of_events(world, cohort, what, at):
    def rows(stream):
        return rows_for(world, cohort, stream, what.where, at, what.within, what.over_all)

    if isinstance(what, v.Count):
        return Fraction(sum(row.get("times", 1) for row in rows(what.count)))
    if isinstance(what, v.Sum):
        return Fraction(sum((row[what.sum] or 0) * row.get("times", 1) for row in rows(what.of)))
    if isinstance(what, v.Distinct):
        return Fraction(len({row[what.distinct] for row in rows(what.of)} - {None}))
    if isinstance(what, v.Instant):
        found = [row["at"] for row in rows(what.first or what.last)]
        return Fraction(min(found) if what.first else max(found)) if found else None
    name = what.min or what.max or what.avg
    known = [row for row in rows(what.of) if row[name] is not None]
    if not known:
        return None
    if what.avg:
        times = sum(row.get("times", 1) for row in known)
        return Fraction(sum(row[name] * row.get("times", 1) for row in known), times)
    return Fraction((min if what.min else max)(row[name] for row in known))


def median(numbers):
    """The mean of the middle two, rounded down; None of nothing."""
    ordered = sorted(numbers)
    if not ordered:
        return None
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


def gaps(world, cohort, stream, subject, x):
    instants = sorted(row["at"] for row in rows_for(world, cohort, stream, {}, At(subject, None, x)))
    return [two - one for one, two in pairwise(instants)]


def median_gap(world, cohort, what, at):
    own = rows_for(world, cohort, what.median_gap, {}, at)
    if what.fewer_than is None or len(own) >= cohort.param(what.fewer_than):
        found = median(gaps(world, cohort, what.median_gap, at.subject, at.x))
        return None if found is None else Fraction(found)
    if what.otherwise != "category":
        return None
    category = category_of(world, at.subject, at.x)
    if category is None:
        return None
    morning = world.start(world.day_at(at.x))
    pooled = []
    for subject in {row["subject"] for row in world.stream(cohort.subject, what.median_gap)}:
        if category_of(world, subject, at.x) == category:
            pooled += gaps(world, cohort, what.median_gap, subject, morning - 1)
    found = median(pooled)
    return None if found is None else Fraction(found)


def category_of(world, subject, x):
    for row in world.rows.get("customer_category", []):
        if row["subject"] == subject and counts(row, x):
            return row["category"]
    return None


# Comparisons

COMPARE = {
    "at_least": lambda one, two: one >= two,
    "more_than": lambda one, two: one > two,
    "at_most": lambda one, two: one <= two,
    "less_than": lambda one, two: one < two,
    "equals": lambda one, two: one == two,
}


def bound_of(world, cohort, bound, what, at):
    if isinstance(bound, str):
        return parameter(cohort, bound)
    if isinstance(bound, b.Greatest):
        found = [bound_of(world, cohort, each, what, at) for each in bound.greatest]
        return max((each for each in found if each is not None), default=None)
    if isinstance(bound, b.Multiple):
        found = value(world, cohort, bound.of, at)
        return None if found is None else found * parameter(cohort, bound.multiple)
    return percentile(world, cohort, bound, what, at)


def percentile(world, cohort, bound, what, at):
    yesterday = at.day - timedelta(days=1)
    x = world.end(yesterday) - 1
    population = []
    for subject, key in subjects(world, cohort, at.day):
        if key == at.key:
            found = value(world, cohort, what, At(subject, key, x, yesterday))
            if found:
                population.append(found)
    if bound.population is not None and len(population) < cohort.param(bound.population):
        return None
    if bound.history is not None:
        known = [row["at"] for name in streams(cohort.subject) for row in world.stream(cohort.subject, name)
                 if name not in PRODUCT]  # fmt: skip
        days = cohort.param(bound.history) // 86_400_000_000
        if not known or world.day_at(min(known)) > yesterday - timedelta(days=days):
            return None
    if not population:
        return None
    rank = -(-cohort.param(bound.percentile) * len(population) // 100)
    return sorted(population)[max(rank, 1) - 1]


def compare(world, cohort, rule, at, staying):
    word, bound = rule.comparison, rule.bound
    if staying and rule.leave_below is not None:
        word, bound = "at_least", rule.leave_below
    if staying and rule.leave_above is not None:
        word, bound = "at_most", rule.leave_above
    found = value(world, cohort, rule.value, at)
    if found is None:
        return False
    limit = bound_of(world, cohort, bound, rule.value, at)
    if limit is None:
        return staying
    return COMPARE[word](found, limit)


# Rules


def holds(world, cohort, rule, at, staying=False):
    if isinstance(rule, r.All):
        return all(holds(world, cohort, each, at, staying) for each in rule.all)
    if isinstance(rule, r.AnyOf):
        return any(holds(world, cohort, each, at, staying) for each in rule.any)
    if isinstance(rule, r.NoneOf):
        return not any(holds(world, cohort, each, at, staying) for each in rule.none)
    if isinstance(rule, r.Compare):
        return compare(world, cohort, rule, at, staying)
    if isinstance(rule, r.Open):
        return bool(rows_for(world, cohort, rule.open, rule.where, at, over_all=False))
    if isinstance(rule, r.Without):
        return any(start <= at.x < end for start, end in silences(world, cohort, rule, at.subject))
    if isinstance(rule, r.Then):
        return any(start <= at.x < end for start, end in sequences(world, cohort, rule, at.subject))
    if isinstance(rule, r.Member):
        other = world.cohorts[rule.cohort]
        if other.evaluate == "day":
            return (at.subject, None) in members_at_end(world, other.id, at.day)
        return holds(world, other, other.rule, At(at.subject, None, at.x))
    return any(x <= at.x < x + cohort.param(rule.within) for x in leavings(world, cohort, rule, at.subject))


def leavings(world, cohort, rule, subject):
    """Instants at which the subject left another cohort because of an event."""
    other = world.cohorts[rule.left]
    for row in world.stream(cohort.subject, rule.because_of):
        if row["subject"] == subject and row["since"] == row["at"]:
            before, after = At(subject, None, row["at"] - 1), At(subject, None, row["at"])
            if holds(world, other, other.rule, before) and not holds(world, other, other.rule, after):
                yield row["at"]


# Days


def named_streams(world, cohort):
    """Streams of the subject that the rule and the cohorts it names speak of."""
    found = set()

    def walk(part, name=""):
        if isinstance(part, dict):
            for key, item in part.items():
                if key != "where":
                    walk(item, key)
        elif isinstance(part, list | tuple):
            for item in part:
                walk(item, name)
        elif name in ("cohort", "left") and part in world.cohorts:
            found.update(named_streams(world, world.cohorts[part]))
        elif isinstance(part, str) and part in streams(cohort.subject) and part not in PRODUCT:
            found.add(part)

    walk(cohort.rule.model_dump())
    return found


def subjects(world, cohort, day):
    """Everyone whom a rule may be true of: (subject, key)."""
    found = {(subject, key) for subject, key in world.members.get((cohort.id, day - timedelta(days=1)), set())}
    for name in named_streams(world, cohort):
        for row in world.stream(cohort.subject, name):
            if cohort.for_each is None:
                found.add((row["subject"], None))
            else:
                keys = row.get(cohort.for_each)
                for key in keys if isinstance(keys, list) else [keys]:
                    if key is not None:
                        found.add((row["subject"], key))
    return sorted(found, key=str)


def members_at_end(world, cohort_id, day):
    """(subject, key) of the members at the end of a day; of a day rule, days must be asked for in order."""
    cohort = world.cohorts[cohort_id]
    if (cohort_id, day) in world.members:
        return world.members[cohort_id, day]
    before = world.members.get((cohort_id, day - timedelta(days=1)), set())
    found = set()
    for subject, key in subjects(world, cohort, day):
        at = At(subject, key, world.end(day) - 1, day)
        stays = cohort.evaluate == "day" and (subject, key) in before
        if holds(world, cohort, cohort.rule, at) or (stays and holds(world, cohort, cohort.rule, at, True)):
            found.add((subject, key))
    world.members[cohort_id, day] = found
    return found


def members(world, cohort_id, days):
    """Members at the end of each of the days, in order: sets of (cohort id, subject)."""
    shown = []
    for day in days:
        found = members_at_end(world, cohort_id, day)
        shown.append({(cohort_id if key is None else f"{cohort_id}:{key}", subject) for subject, key in found})
    return shown
