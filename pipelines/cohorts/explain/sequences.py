"""Absence and sequence for one subject: the event it waits after, what disturbed it, what followed, what ended it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipelines.cohorts.explain.case import At, Case, Part, told
from pipelines.cohorts.explain.rows import Row, counts, of_products, satisfies
from pipelines.cohorts.explain.shown import duration
from pipelines.cohorts.language import phrases
from pipelines.cohorts.language.rules import Step, Then, Without

_EVER = 2**63 - 1


@dataclass(frozen=True)
class Stretch:
    """A time that rows make, or would have made.

    Attributes:
        start: from when on it holds, microseconds.
        end: until when.
        rows: what it is made of, and what disturbed or ended it.
        said: how it stands at the instant.
        void: something kept it from beginning.
    """

    start: int
    end: int
    rows: list[Row] = field(default_factory=list)
    said: str = ""
    void: bool = False

    def holds(self, x: int) -> bool:
        """Whether it holds at an instant."""
        return not self.void and self.start <= x < self.end


def without(case: Case, at: At, rule: Without, words: str, wanted: bool) -> Part:
    """An absence at the instant."""
    found = [stretch for stretch in _silences(case, at, rule)]
    where = phrases.conditions(at.cohort, rule.where)
    nothing = f"no {phrases.stream(at.cohort, rule.after).one}{where}"
    return _part("without", found, at, words, wanted, nothing)


def _silences(case: Case, at: At, rule: Without) -> Iterator[Stretch]:
    wait = at.cohort.param(rule.within)
    for row in case.rows.of(at.cohort, rule.after):
        if row["at"] > at.x or not satisfies(at.cohort, row, rule.where):
            continue
        start = row["at"] + wait
        after = f"the {phrases.stream(at.cohort, rule.after).one} at {told(row['at'])}"
        other = min(_disturbing(case, at, rule, row, min(start, at.x)), key=_when, default=None)
        if other is not None:
            followed = f"{after} was followed by {_a(at, other['stream'])} at {told(other['at'])}"
            yield Stretch(start, start, [row, other], f"{followed}, {duration(start - other['at'])} too soon", True)
            continue
        if at.x < start:
            yield Stretch(start, start, [row], f"{after}: {duration(start - at.x)} of silence to go", True)
            continue
        ends = [_ended(start, each) for name in at.cohort.until for each in _after(case, at, name, start)]
        if at.cohort.ttl:
            over = row["at"] + at.cohort.param(at.cohort.ttl)
            ends.append((over, None))
        end, ending = min(ends, key=lambda each: each[0], default=(_EVER, None))
        yield _settled(at, start, end, [row], ending, f"since {told(start)}, after {after}")


def _disturbing(case: Case, at: At, rule: Without, row: Row, last: int) -> Iterator[Row]:
    for name in rule.without:
        for other in case.rows.of(at.cohort, name):
            later = other["at"] > row["at"] or (name != rule.after and other["at"] == row["at"])
            if later and other["at"] <= last:
                yield other


def _after(case: Case, at: At, name: str, start: int) -> Iterator[Row]:
    return (each for each in case.rows.of(at.cohort, name) if start <= each["at"] <= at.x)


def _ended(start: int, row: Row) -> tuple[int, Row | None]:
    return (row["at"], row)


def _settled(at: At, start: int, end: int, rows: list[Row], ending: Row | None, said: str) -> Stretch:
    """A time that began, as it stands at the instant."""
    if at.x < end:
        left = f", {duration(end - at.x)} left" if end < _EVER else ""
        return Stretch(start, end, rows, f"{said}{left}")
    by = f"by {_a(at, ending['stream'])}" if ending else "by expiry"
    over = f"{said}, ended at {told(end)} {by}, {duration(at.x - end)} ago"
    return Stretch(start, end, [*rows, *([ending] if ending else [])], over)


def then(case: Case, at: At, rule: Then, words: str, wanted: bool) -> Part:
    """A sequence at the instant."""
    found = list(_sequences(case, at, rule))
    first = _events(case, at, rule.first, rule.same)
    name = phrases.joined([phrases.stream(at.cohort, each).one for each in rule.first.event], "or")
    second = phrases.joined([phrases.stream(at.cohort, each).one for each in rule.then.event], "or")
    nothing = f"no {name}{phrases.conditions(at.cohort, rule.first.where)}"
    if first:
        last = max(first, key=_when)
        same = phrases.field(rule.same)
        nothing = f"{name} at {told(last['at'])}, and no {second} of the same {same} after one"
    part = _part("then", found, at, words, wanted, nothing)
    if not found:
        part.rows = first
    return part


def _events(case: Case, at: At, step: Step, same: str, known: set[Any] | None = None) -> list[Row]:
    """Rows of a step until the instant that have a value of the field; of products, only for known values."""
    found = []
    for name in step.event:
        if of_products(name):
            signal = step.where.get("signal")
            products = {str(each) for each in known or set()} if same == "product_id" else set()
            rows = case.rows.crossings(signal if isinstance(signal, str) else None, products)
        else:
            rows = case.rows.of(at.cohort, name)
        fits = (row for row in rows if row.get(same) is not None and (known is None or row[same] in known))
        found += [row for row in fits if row["at"] <= at.x and satisfies(at.cohort, row, step.where)]
    return sorted(found, key=_when)


def _sequences(case: Case, at: At, rule: Then) -> Iterator[Stretch]:
    firsts = _events(case, at, rule.first, rule.same)
    known = {row[rule.same] for row in firsts}
    seconds = _events(case, at, rule.then, rule.same, known)
    between = [row for step in rule.unless for row in _events(case, at, step, rule.same, known)]
    ending = [row for step in rule.until for row in _events(case, at, step, rule.same, known)]
    for second in seconds:
        value, t2 = second[rule.same], second["at"]
        before = [row for row in firsts if row[rule.same] == value and row["at"] <= t2]
        if not before:
            continue
        t1 = before[-1]["at"]
        voiding = [row for row in between if row[rule.same] == value and t1 < row["at"] <= t2]
        ends = [row for row in ending if row[rule.same] == value and row["at"] > t2]
        for first in before:
            if first["at"] == t1:
                yield _pair(at, rule, first, second, voiding, ends)


def _pair(at: At, rule: Then, first: Row, second: Row, voiding: list[Row], ending: list[Row]) -> Stretch:
    t1, t2 = first["at"], second["at"]
    which = f"{phrases.field(rule.same)} {second[rule.same]}"
    said = f"{which}: {_one(at, first)} at {told(t1)}, {_one(at, second)} at {told(t2)}"
    if rule.within and t2 - t1 > at.cohort.param(rule.within):
        late = duration(t2 - t1 - at.cohort.param(rule.within))
        return Stretch(t2, t2, [first, second], f"{said}: {late} too late", True)
    if voiding:
        between = voiding[0]
        text = f"{said}, with {_a(at, between['stream'])} at {told(between['at'])} between"
        return Stretch(t2, t2, [first, between, second], text, True)
    ends: list[tuple[int, Row | None]] = [(row["at"], row) for row in ending[:1]]
    ends += [(t1 + at.cohort.param(rule.lasts), None)] if rule.lasts else []
    ends += [(t2 + at.cohort.param(rule.lasts_after), None)] if rule.lasts_after else []
    ends.append((min(first["until"], second["until"]), None))
    end, by = min(ends, key=lambda each: each[0])
    start = max(t2, first["since"], second["since"])
    return _settled(at, start, end, [first, second], by, said)


def _part(kind: str, found: list[Stretch], at: At, words: str, wanted: bool, nothing: str) -> Part:
    """The leaf: what holds, else what came nearest, which is the last that began or would have."""
    holding = [stretch for stretch in found if stretch.holds(at.x)]
    holds = bool(holding)
    shown = sorted(holding or found, key=lambda each: (each.start, each.end))
    if not shown:
        return Part(kind, words, holds, wanted, nothing, gap=nothing)
    last = shown[-1]
    rows = [row for stretch in (holding or [last]) for row in stretch.rows]
    more = f" (and {len(holding) - 1:,} more)" if len(holding) > 1 else ""
    return Part(kind, words, holds, wanted, f"{last.said}{more}", gap=last.said, rows=rows)


def is_open(case: Case, at: At, stream: str, rows: list[Row], words: str, wanted: bool) -> Part:
    """Whether something that began has not ended, from its rows of the subject until the instant."""
    open_now = [row for row in rows if counts(row, at.x)]
    one = phrases.stream(at.cohort, stream).one
    if open_now:
        said = f"{one} since {told(max(row['since'] for row in open_now))}"
        return Part("open", words, True, wanted, said, value=len(open_now), gap=said, rows=open_now)
    begun = [row for row in rows if row["since"] <= at.x]
    if not begun:
        return Part("open", words, False, wanted, f"no {one}", value=0, gap=f"no {one}")
    last = max(begun, key=lambda row: row["until"])
    said = f"the last {one} ended at {told(last['until'])}"
    return Part("open", words, False, wanted, said, value=0, gap=said, rows=[last])


def _one(at: At, row: Row) -> str:
    return phrases.stream(at.cohort, row["stream"]).one


def _a(at: At, stream: str) -> str:
    return phrases.a(phrases.stream(at.cohort, stream).one)


def _when(row: Row) -> int:
    return int(row["at"])
