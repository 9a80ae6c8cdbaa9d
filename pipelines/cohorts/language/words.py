"""A cohort in plain English: who enters, who leaves and how a membership is held, with the values of its parameters.

Leaving is the rule's opposite with the bounds of leaving in place. Words for single values are in ``phrases``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.cohorts.language.bounds import Bound, Greatest, Percentile
from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.phrases import (
    a,
    common_window,
    conditions,
    events,
    field,
    joined,
    number,
    ordinal,
    stream,
    term,
    value,
    window,
)
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
    Step,
    Then,
    Without,
    leaves,
)
from pipelines.cohorts.language.values import Add, AnyIn, Count, Distinct, Instant, Over, Share, Since, Times, Value

_OPPOSITE = {"at_least": "less_than", "more_than": "at_most", "at_most": "more_than", "less_than": "at_least"}
_STAYING = {"leave_below": "at_least", "leave_above": "at_most"}
_NEVER = "never"
_NUMBERS = {
    "at_least": "at least {}",
    "more_than": "more than {}",
    "at_most": "at most {}",
    "less_than": "fewer than {}",
    "equals": "exactly {}",
    "differs": "not exactly {}",
}
_VERBS = {key: f"is {text.replace('fewer', 'less')}" for key, text in _NUMBERS.items()}
_ORDER = {
    "at_least": "is not before {}",
    "more_than": "is after {}",
    "at_most": "is not after {}",
    "less_than": "is before {}",
}


@dataclass(frozen=True)
class Words:
    """A cohort in words, each part without a full stop.

    Attributes:
        enters: what must hold.
        leaves: what ends a membership.
        held: how memberships are held beyond that: dwell, cooldown, ttl.
        decided: when the rule is looked at.
    """

    enters: str
    leaves: str
    held: tuple[str, ...]
    decided: str


def words(cohort: Cohort) -> Words:
    """The rule of a cohort and its opposite as people would say them."""
    enters = _said(cohort, cohort.rule, True, False)
    leaving = [_said(cohort, cohort.rule, False, True)]
    absent = any(isinstance(leaf, Without) for leaf in leaves(cohort.rule))
    held = []
    if cohort.ttl and not absent:
        leaving.append(f"{number(cohort, cohort.ttl)} after the entry at the latest")
    if cohort.dwell:
        held.append(f"stays at least {number(cohort, cohort.dwell)}")
    if cohort.cooldown:
        held.append(f"does not enter again within {number(cohort, cohort.cooldown)} after leaving")
    decided = "at the end of each day" if cohort.evaluate == "day" else "at the instant of the data"
    ends = [each for each in leaving if each != _NEVER] or [_NEVER]
    return Words(enters, ", or ".join(ends), tuple(held), decided)


def in_words(cohort: Cohort) -> str:
    """The rule in one line: who enters, who leaves, how long."""
    said = words(cohort)
    return "; ".join([said.enters, f"leaves: {said.leaves}", *said.held])


def leaf_in_words(cohort: Cohort, leaf: Rule, holds: bool, *, leaving: bool = False) -> str:
    """A leaf of the rule, or its opposite, as people would say it; with the bounds of leaving where asked for."""
    return _LEAVES[type(leaf)](cohort, leaf, holds, leaving)


def _said(cohort: Cohort, rule: Rule, holds: bool, leaving: bool, inside: bool = False) -> str:
    """A rule or its opposite; by De Morgan the opposite of all is any of the opposites."""
    if isinstance(rule, All | AnyOf | NoneOf):
        parts: tuple[Rule, ...] = getattr(rule, next(iter(type(rule).model_fields)))
        own = holds != isinstance(rule, NoneOf)
        together = own if isinstance(rule, All) else not own
        said = list(dict.fromkeys(_said(cohort, part, own, leaving, len(parts) > 1) for part in parts))
        if _NEVER in said:
            said = [_NEVER] if together else [each for each in said if each != _NEVER] or [_NEVER]
        text = (", and " if together else ", or ").join(said)
        return f"[{text}]" if inside and len(said) > 1 else text
    return _LEAVES[type(rule)](cohort, rule, holds, leaving)


def _compare(cohort: Cohort, found: Compare, holds: bool, leaving: bool) -> str:
    comparison, bound = found.comparison, found.bound
    leave = next((key for key in _STAYING if getattr(found, key) is not None), None) if leaving else None
    if leave:
        comparison, bound = _STAYING[leave], getattr(found, leave)
    if not holds:
        comparison = _OPPOSITE.get(comparison, "differs")
    if isinstance(found.value, Since) and isinstance(bound, str):
        name = found.value.since_first or found.value.since or ""
        which = "first" if found.value.since_first else "last"
        ago = _NUMBERS[comparison].replace("fewer", "less").format(number(cohort, bound))
        return f"the {which} {events(cohort, name, found.value, one=True)} was {ago} ago"
    if isinstance(found.value, Share) and isinstance(bound, str):
        return _of_whole(cohort, found.value, comparison, bound)
    counted = _counted(cohort, found.value)
    if counted and isinstance(bound, str):
        return _so_many(cohort, found.value, counted, comparison, bound)
    within = common_window(found.value)
    said = value(cohort, found.value, windows=not within)
    said = f"the number of {said}" if counted else said
    there = window(cohort, within) if within else ""
    verbs = _ORDER if isinstance(found.value, Instant) else _VERBS
    if there and isinstance(found.value, Add | Over | Share | Times):
        return f"{there.strip()}, {said} {verbs[comparison].format(_bound(cohort, bound, leaving))}"
    return f"{said}{there} {verbs[comparison].format(_bound(cohort, bound, leaving))}"


def _counted(cohort: Cohort, found: Value) -> str | None:
    """What is counted, without the window, where a value is a plain number of things."""
    if isinstance(found, Count):
        return events(cohort, found.count, found)
    if isinstance(found, Distinct):
        return value(cohort, found, windows=False)
    if not isinstance(found, Add) or not all(isinstance(part, Count) for part in found.add):
        return None
    first = found.add[0]
    same = all(isinstance(part, Count) and part.model_copy(update={"count": ""}) == _bare(first) for part in found.add)
    if not same or not isinstance(first, Count):
        return None
    nouns = joined([stream(cohort, part.count).many for part in found.add if isinstance(part, Count)], "and")
    return events(cohort, first.count, first).replace(stream(cohort, first.count).many, nouns, 1)


def _bare(found: Any) -> Any:
    return found.model_copy(update={"count": ""}) if isinstance(found, Count) else None


def _so_many(cohort: Cohort, found: Value, counted: str, comparison: str, bound: str) -> str:
    within = common_window(found)
    there = window(cohort, within) if within else " ever"
    size = cohort.param(bound)
    if (comparison in ("at_most", "equals") and size == 0) or (comparison == "less_than" and size == 1):
        none = counted.replace(" and ", " or ") if isinstance(found, Add) else counted.removeprefix("different ")
        return f"no {none}{there}"
    if comparison == "less_than" and size == 0:
        return _NEVER
    least = number(cohort, bound)
    if comparison == "more_than" and size == 0:
        comparison, least, size = "at_least", "1", 1
    if size == 1 and isinstance(found, Count):
        counted = events(cohort, found.count, found, one=True)
    return f"{_NUMBERS[comparison].format(least)} {counted}{there}"


def _of_whole(cohort: Cohort, found: Share, comparison: str, bound: str) -> str:
    within = common_window(found)
    part, whole = (term(cohort, each, not within, inside=True) for each in (found.share, found.to))
    there = f"{window(cohort, within).strip()}, " if within else ""
    least = _VERBS[comparison].format(number(cohort, bound))
    are = least.replace("is ", "are ", 1) if isinstance(found.share, Count | Add | Distinct) else least
    return f"{there}{part} {are} of {whole}"


def _bound(cohort: Cohort, found: Bound, leaving: bool) -> str:
    if isinstance(found, str):
        return number(cohort, found)
    if isinstance(found, Greatest):
        first = found.greatest[0]
        timed = isinstance(first, str) and cohort.params[first.removeprefix("$")].unit == "duration"
        word = ("long" if timed else "great") + ("er" if len(found.greatest) == 2 else "est")
        return f"the {word} of {joined([_bound(cohort, each, leaving) for each in found.greatest], 'and')}"
    if not isinstance(found, Percentile):
        return f"{number(cohort, found.multiple)} times {value(cohort, found.of)}"
    said = f"the {ordinal(cohort, found.percentile)} percentile of all {cohort.subject}s"
    needs = [
        f"{number(cohort, found.population)} {cohort.subject}s have one" if found.population else "",
        f"the data reaches back {number(cohort, found.history)}" if found.history else "",
    ]
    # A bound that is missing lets nobody in and puts nobody out.
    return f"{said} (once {joined(filter(None, needs), 'and')})" if any(needs) and not leaving else said


def _member(cohort: Cohort, found: Member, holds: bool, leaving: bool) -> str:
    return f"{'in' if holds else 'no longer in' if leaving else 'not in'} the cohort {found.cohort}"


def _left(cohort: Cohort, found: Left, holds: bool, leaving: bool) -> str:
    within = number(cohort, found.within)
    cause = found.because_of.replace("_", " ")
    if holds:
        return f"left the cohort {found.left} because of {a(cause)}, at most {within} ago"
    return f"{within} after leaving the cohort {found.left}"


def _without(cohort: Cohort, found: Without, holds: bool, leaving: bool) -> str:
    after = stream(cohort, found.after).one
    if holds:
        missing = joined([stream(cohort, name).one for name in found.without], "or")
        where = conditions(cohort, found.where)
        return f"{a(after)}{where}, not followed by {a(missing)} within {number(cohort, found.within)}"
    ends = ["the cart is emptied" if name == "cart_emptied" else a(stream(cohort, name).one) for name in cohort.until]
    if cohort.ttl:
        ends.append(f"{number(cohort, cohort.ttl)} after the {after}")
    return joined(ends, "or") if ends else "never"


def _step(cohort: Cohort, found: Step, article: Callable[[str], str] = a) -> str:
    where = dict(found.where)
    if found.event != ("crossing",):
        nouns = joined([stream(cohort, name).one for name in found.event], "or")
        return f"{article(nouns)}{conditions(cohort, where)}"
    named = {key: each.any_in if isinstance(each, AnyIn) else (str(each),) for key, each in where.items()}
    texts = {key: joined(each, "or") for key, each in named.items()}
    signal = where.get("signal")
    said = f"{'a change' if article is a else 'change'} of {signal if isinstance(signal, str) else 'a signal'}"
    said += f" from {texts['from_state']}" if "from_state" in texts else ""
    return said + (f" to {texts['to_state']}" if "to_state" in texts else "")


def _then(cohort: Cohort, found: Then, holds: bool, leaving: bool) -> str:
    if not holds:
        ends = [_step(cohort, step) for step in found.until]
        if found.lasts_after:
            ends.append(f"{number(cohort, found.lasts_after)} after {_the(cohort, found.then)}")
        if found.lasts:
            ends.append(f"{number(cohort, found.lasts)} after {_the(cohort, found.first)}")
        return joined(ends, "or") if ends else "never"
    said = f"{_step(cohort, found.first)}, then {_step(cohort, found.then)}, both of one {field(found.same)}"
    if found.within:
        said += f", at most {number(cohort, found.within)} apart"
    if found.unless:
        said += f", with no {joined([_step(cohort, step, str) for step in found.unless], 'or')} between"
    return said


def _the(cohort: Cohort, found: Step) -> str:
    if found.event == ("crossing",):
        return "the change"
    return f"the {joined([stream(cohort, name).one for name in found.event], 'or')}"


def _open(cohort: Cohort, found: Open, holds: bool, leaving: bool) -> str:
    key = f" of the {field(cohort.for_each)}" if cohort.for_each else ""
    said = f"{stream(cohort, found.open).one}{key}{conditions(cohort, found.where)}"
    return f"an open {said}" if holds else f"no {'longer an ' if leaving else ''}open {said}"


def _cart_value(cohort: Cohort, found: CartValue, holds: bool, leaving: bool) -> str:
    if not holds:
        return f"the cart is worth less than {number(cohort, found.leave_below)} of that"
    floor, share = found.at_least.greatest
    carts = f"the carts that were open at the end of each of the {number(cohort, share.partitions)} days before"
    percentile = f"the {ordinal(cohort, share.percentile)} percentile of {carts}"
    return f"the cart is worth at least the greater of {number(cohort, floor)} and {percentile}"


def _cart_signal(cohort: Cohort, found: CartSignal, holds: bool, leaving: bool) -> str:
    states = joined(found.any_in, "or")
    if holds:
        return f"the {found.signal} of a product in the cart is {states} at the entry"
    return f"no product in the cart was {states} for {number(cohort, found.leave_after)}"


_LEAVES: Mapping[type, Callable[[Cohort, Any, bool, bool], str]] = {
    Compare: _compare,
    Member: _member,
    Left: _left,
    Without: _without,
    Then: _then,
    Open: _open,
    CartValue: _cart_value,
    CartSignal: _cart_signal,
}
