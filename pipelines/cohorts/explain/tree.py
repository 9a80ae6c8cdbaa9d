"""A rule for one subject, part by part: does it hold, what is its value, by how much is its bound met or missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from pipelines.cohorts.explain.bounds import Limit, limit
from pipelines.cohorts.explain.carts import of_carts
from pipelines.cohorts.explain.case import At, Case, Part, told
from pipelines.cohorts.explain.rows import has_key, satisfies
from pipelines.cohorts.explain.sequences import is_open, then, without
from pipelines.cohorts.explain.shown import NEEDS, OPPOSITE, duration, gap, plain, unit_of, written
from pipelines.cohorts.explain.values import made_of, number, read_in
from pipelines.cohorts.language import phrases
from pipelines.cohorts.language.bounds import Bound
from pipelines.cohorts.language.rules import All, AnyOf, Compare, Left, Member, NoneOf, Open, Rule, Then, Without
from pipelines.cohorts.language.values import Add, Over, Share, Times, Value
from pipelines.cohorts.language.words import leaf_in_words

_COMPARE: Mapping[str, Callable[[Fraction, Fraction], bool]] = {
    "at_least": lambda one, two: one >= two,
    "more_than": lambda one, two: one > two,
    "at_most": lambda one, two: one <= two,
    "less_than": lambda one, two: one < two,
    "equals": lambda one, two: one == two,
}


def decide(case: Case, at: At) -> Part:
    """The rule of a cohort, with the bounds of leaving for who was a member when the day began."""
    if at.cohort.of_cart:
        return of_carts(case, at)
    if at.cohort.evaluate == "day" and case.before(at.cohort, at.key) is not None:
        stays = part(case, at, at.cohort.rule, staying=True)
        if stays.holds:
            return stays
        enters = part(case, at, at.cohort.rule)
        return enters if enters.holds else stays
    return part(case, at, at.cohort.rule)


def part(case: Case, at: At, rule: Rule, *, wanted: bool = True, staying: bool = False) -> Part:
    """A part of a rule.

    Args:
        case: who and when.
        at: the cohort, the key and the instant.
        rule: the part.
        wanted: whether it has to hold for the whole to do.
        staying: compare with the bounds of leaving where there are such.
    """
    if isinstance(rule, All | AnyOf | NoneOf):
        kind = next(iter(type(rule).model_fields))
        own = wanted != isinstance(rule, NoneOf)
        parts = [part(case, at, each, wanted=own, staying=staying) for each in getattr(rule, kind)]
        holding = [each.holds for each in parts]
        holds = all(holding) if isinstance(rule, All) else any(holding) != isinstance(rule, NoneOf)
        return Part(kind, "", holds, wanted, parts=parts)
    words = leaf_in_words(at.cohort, rule, True, leaving=staying)
    if isinstance(rule, Compare):
        return _compare(case, at, rule, words, wanted, staying)
    if isinstance(rule, Without):
        return without(case, at, rule, words, wanted)
    if isinstance(rule, Then):
        return then(case, at, rule, words, wanted)
    if isinstance(rule, Open):
        return _open(case, at, rule, words, wanted)
    if isinstance(rule, Member):
        return _member(case, at, rule, words, wanted)
    assert isinstance(rule, Left)  # noqa: S101
    return _left(case, at, rule, words, wanted)


def missing(found: Part) -> Part | None:
    """The first leaf that is not as it has to be; None where the whole is."""
    if found.holds == found.wanted:
        return None
    if not found.parts or found.kind == "cohort":
        return found
    return next((each for inner in found.parts if (each := missing(inner)) is not None), found)


def _compare(case: Case, at: At, rule: Compare, words: str, wanted: bool, staying: bool) -> Part:
    comparison, bound, of_leaving = rule.comparison, rule.bound, False
    for leaving, kept in ((rule.leave_below, "at_least"), (rule.leave_above, "at_most")):
        if staying and leaving is not None:
            comparison, bound, of_leaving = kept, leaving, True
    value = number(case, at, rule.value)
    against = limit(case, at, bound, rule.value)
    if value is None or against.number is None:
        holds = value is not None and staying
    else:
        holds = _COMPARE[comparison](value, against.number)
    needed = comparison if wanted else OPPOSITE[comparison]
    stands, missed = _stands(at, rule, value, needed, against, of_leaving)
    unit, limits = unit_of(at.cohort, rule.value), _unit_of_bound(at, bound, rule)
    return Part(
        "compare",
        words,
        holds,
        wanted,
        f"{phrases.value(at.cohort, rule.value)}: {stands}",
        stands,
        plain(value, unit),
        plain(against.number, limits),
        comparison,
        of_leaving,
        against.source,
        missed,
        made_of(case, at, rule.value),
        _terms(case, at, rule.value),
    )


def _terms(case: Case, at: At, value: Value) -> list[tuple[str, Any]]:
    """Numbers that an arithmetic is made of, each once."""
    found = {}
    for each in read_in(value):
        unit = unit_of(at.cohort, each)
        found[phrases.value(at.cohort, each)] = plain(number(case, at, each), unit)
    return list(found.items()) if isinstance(value, Add | Times | Over | Share) else []


def _unit_of_bound(at: At, bound: Bound, rule: Compare) -> str:
    return unit_of(at.cohort, bound if isinstance(bound, str) else rule.value)


def _stands(
    at: At, rule: Compare, value: Fraction | None, comparison: str, against: Limit, of_leaving: bool
) -> tuple[str, str]:
    """What a comparison comes to, and by how much it is met or missed."""
    unit = unit_of(at.cohort, rule.value)
    if value is None:
        return "there is none", "there is no such number"
    said = written(value, unit)
    source = f" ({against.source})" if against.source else ""
    if against.number is None:
        return f"{said}, and there is no bound{source}", "there is no bound"
    need = NEEDS[comparison].format(written(against.number, unit))
    missed = gap(value, comparison, against.number, unit)
    return f"{said}, {'stays with' if of_leaving else 'needs'} {need}{source}: {missed}", missed


def _open(case: Case, at: At, rule: Open, words: str, wanted: bool) -> Part:
    rows = case.rows.of(at.cohort, rule.open)
    own = [row for row in rows if has_key(at.cohort, row, at.key) and satisfies(at.cohort, row, rule.where)]
    return is_open(case, at, rule.open, own, words, wanted)


def _member(case: Case, at: At, rule: Member, words: str, wanted: bool) -> Part:
    inner = decide(case, At(case.definitions[rule.cohort], None, at.x))
    first = missing(inner)
    says = f"is in the cohort {rule.cohort}" if inner.holds else f"is not in the cohort {rule.cohort}"
    if inner.holds != wanted and first is not None:
        says = f"{says}: {first.says}"
    return Part("cohort", words, inner.holds, wanted, says, gap=first.gap if first else None, parts=[inner])


def _left(case: Case, at: At, rule: Left, words: str, wanted: bool) -> Part:
    other, within = case.definitions[rule.left], at.cohort.param(rule.within)
    rows = [row for row in case.rows.of(other, rule.because_of) if row["since"] == row["at"] and row["at"] <= at.x]
    for row in sorted(rows, key=lambda each: int(each["at"]), reverse=True):
        before = part(case, At(other, None, row["at"] - 1), other.rule)
        if before.holds and not part(case, At(other, None, row["at"]), other.rule).holds:
            ago = at.x - row["at"]
            missed = f"{duration(within - ago)} left" if ago < within else f"{duration(ago - within)} too long"
            which = f"left the cohort {rule.left} at {told(row['at'])} because of {phrases.a(rule.because_of)}"
            says = f"{which}, {duration(ago)} ago, at most {duration(within)}: {missed}"
            return Part("left", words, ago < within, wanted, says, gap=missed, rows=[row])
    never = f"never left the cohort {rule.left} because of {phrases.a(rule.because_of)}"
    return Part("left", words, False, wanted, never, gap=never, rows=rows)
