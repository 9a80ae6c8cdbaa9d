"""Rows of streams, which of them satisfy a condition, and the silences and sequences that they make; plain Python.

A row is a dictionary with ``subject``, ``at``, ``since``, ``until``, the fields of its stream, and ``times`` (1 where
not given). Streams are lists of rows by ``visitor_<stream>``, ``customer_<stream>`` and ``product_crossing``;
``customer_category`` says which category a customer is of. Instants are microseconds; what is true at x is true from
that very microsecond on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipelines.calendar import day_of
from pipelines.cohorts.language import values as v
from pipelines.cohorts.language.vocabulary import PRODUCT
from pipelines.cohorts.sql.scope import micros

INF = 2**63 - 1
LISTS = ("group_id",)


class World:
    """Definitions, streams and clock."""

    def __init__(self, cohorts, rows, zone):
        self.cohorts, self.rows, self.zone = cohorts, rows, zone
        self.members = {}  # (cohort id, date) -> set of (subject, key), of day rules

    def stream(self, subject, name):
        return self.rows.get(f"{'product' if name in PRODUCT else subject}_{name}", [])

    def start(self, day):
        return micros(day_of(day, self.zone).start)

    def end(self, day):
        return self.start(day + timedelta(days=1))

    def day_at(self, x):
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=x)).astimezone(self.zone).date()


# Conditions on rows


def satisfies(world, cohort, row, where):
    return all(condition(cohort, field_of(world, row, name), wanted) for name, wanted in where.items())


def field_of(world, row, name):
    if not name.startswith("signal."):
        return row.get(name)
    state, newest = None, None
    for crossing in world.stream("product", "crossing"):
        about = (crossing["signal"], crossing["product_id"]) == (name.removeprefix("signal."), row["product_id"])
        if about and crossing["at"] <= row["at"] and (newest is None or crossing["at"] > newest):
            state, newest = crossing["to_state"], crossing["at"]
    return state


def condition(cohort, found, wanted):
    if isinstance(found, list):
        return any(condition(cohort, each, wanted) for each in found)
    if found is None:
        return False
    if isinstance(wanted, v.AnyIn):
        return found in wanted.any_in
    if isinstance(wanted, v.AtLeast):
        return found >= cohort.param(wanted.at_least)
    if isinstance(wanted, v.AtMost):
        return found <= cohort.param(wanted.at_most)
    return found == wanted


def of_key(cohort, row, key):
    found = row.get(cohort.for_each)
    return key in found if isinstance(found, list) else found == key


def counts(row, x):
    return row["since"] <= x < row["until"]


# Times made by rows


def silences(world, cohort, rule, subject):
    for row in world.stream(cohort.subject, rule.after):
        if row["subject"] != subject or not satisfies(world, cohort, row, rule.where):
            continue
        start = row["at"] + cohort.param(rule.within)
        if not any(disturbs(world, cohort, rule, row, start, name) for name in rule.without):
            ends = [row["at"] + cohort.param(cohort.ttl)] if cohort.ttl else []
            for name in cohort.until:
                own = [other for other in world.stream(cohort.subject, name) if other["subject"] == subject]
                ends += [other["at"] for other in own if other["at"] >= start]
            yield start, min(ends, default=INF)


def disturbs(world, cohort, rule, row, start, name):
    """Whether a row of the stream lies in the silence after a row; of its own stream only later ones do."""
    for other in world.stream(cohort.subject, name):
        later = other["at"] > row["at"] or (name != rule.after and other["at"] == row["at"])
        if other["subject"] == row["subject"] and later and other["at"] <= start:
            return True
    return False


def events(world, cohort, step, subject, same, wanted=None):
    """Rows of a step that are the subject's, or of a product, by the value of ``same``."""
    found = []
    for name in step.event:
        for row in world.stream(cohort.subject, name):
            own = name in PRODUCT or row["subject"] == subject
            fits = row[same] is not None and wanted in (None, row[same])
            if own and fits and satisfies(world, cohort, row, step.where):
                found.append(row)
    return found


def sequences(world, cohort, rule, subject):
    for second in events(world, cohort, rule.then, subject, rule.same):
        wanted, t2 = second[rule.same], second["at"]
        before = [row for row in events(world, cohort, rule.first, subject, rule.same, wanted) if row["at"] <= t2]
        if not before:
            continue
        t1 = max(row["at"] for row in before)
        if rule.within is not None and t1 < t2 - cohort.param(rule.within):
            continue
        between = [row for step in rule.unless for row in events(world, cohort, step, subject, rule.same, wanted)]
        if any(t1 < row["at"] <= t2 for row in between):
            continue
        ends = [t1 + cohort.param(rule.lasts)] if rule.lasts else []
        ends += [t2 + cohort.param(rule.lasts_after)] if rule.lasts_after else []
        for step in rule.until:
            ends += [row["at"] for row in events(world, cohort, step, subject, rule.same, wanted) if row["at"] > t2]
        for first in before:
            if first["at"] == t1:
                start = max(t2, first["since"], second["since"])
                yield start, min([*ends, first["until"], second["until"]])
