"""Checks of the leaves of a rule, at any depth: bounds, sequences, absence, and which leaf may stand where.

The numbers inside them are checked in ``check_values``, rules of carts in ``check_carts``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.cohorts.language import values
from pipelines.cohorts.language.bounds import Bound, Greatest, Multiple, Percentile
from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.check_values import SAID, Scope, is_fraction, param, stream, value, where, window
from pipelines.cohorts.language.problems import nearest
from pipelines.cohorts.language.rules import All, AnyOf, Compare, Left, Member, NoneOf, Open, Rule, Step, Then, Without
from pipelines.cohorts.language.values import Count, Distinct, MedianGap, Since, Sum
from pipelines.cohorts.language.vocabulary import Stream

#: What an instant rule can follow from event to event; all else is decided by day.
INSTANT_VALUES = (Count, Sum, Distinct, Since)
VALUE_KEYS = tuple(key for key, _ in values._KEYS)
#: What ``caused_by`` of an exit may say.
CAUSES = (
    *("add", "bound", "cart_emptied", "click", "cohort", "expiry", "merge", "opt_in", "opt_out", "order", "referral"),
    *("return", "silence", "stock", "unwishlist"),
)
#: Streams of things that end by themselves or by another record.
ENDING = {"visitor": ("order",), "customer": ("opt_out", "order", "referral_flagged")}


def rule(scope: Scope, path: str, found: Rule) -> None:
    """Check a rule and everything in it."""
    if isinstance(found, All | AnyOf | NoneOf):
        key = next(iter(type(found).model_fields))
        for place, part in enumerate(getattr(found, key)):
            rule(scope, f"{path}.{key}.{place}", part)
        return
    if scope.by_day and isinstance(found, Without | Then | Left | Open | CartValue | CartSignal):
        scope.say(path, "happens at an instant, the cohort is decided by day", "write evaluate: instant")
    _CHECKS.get(type(found), _nothing)(scope, path, found)


def _nothing(scope: Scope, path: str, found: Any) -> None:
    """Leaves about carts are checked with their cohort, in ``check_carts``."""


def _compare(scope: Scope, path: str, found: Compare) -> None:
    if not scope.by_day and not isinstance(found.value, INSTANT_VALUES):
        kind = next(key for key in VALUE_KEYS if getattr(found.value, key, None) is not None)
        scope.say(f"{path}.value", f"{kind} is decided by day only", "write evaluate: day")
    unit = value(scope, f"{path}.value", found.value)
    bound(scope, f"{path}.{found.comparison}", found.bound, unit)
    _followed(scope, path, found)
    for key in ("leave_below", "leave_above"):
        leave: Bound | None = getattr(found, key)
        if leave is None:
            continue
        if not scope.by_day:
            scope.say(f"{path}.{key}", "a bound of leaving is for cohorts decided by day", "write evaluate: day")
        bound(scope, f"{path}.{key}", leave, unit)
        _contradiction(scope, path, key, found, leave)


def _followed(scope: Scope, path: str, found: Compare) -> None:
    """Check what only the way of evaluation forbids."""
    place = f"{path}.{found.comparison}"
    limits = [each for each in (found.bound, found.leave_below, found.leave_above) if each is not None]
    flat = [part for each in limits for part in (each.greatest if isinstance(each, Greatest) else (each,))]
    if any(isinstance(each, Percentile) for each in flat) and is_fraction(found.value):
        scope.say(place, "a percentile is of whole numbers, this value is a fraction", "write a number")
    if scope.by_day or not isinstance(found.value, INSTANT_VALUES):
        return
    if not isinstance(found.value, Since):
        if not isinstance(found.bound, str | Percentile):
            scope.say(place, "a number is compared with a parameter at instants", "write $name, or evaluate: day")
        return
    if found.comparison == "equals":
        scope.say(place, "a time is at no instant exactly so long", "write at_least, more_than, at_most or less_than")
    if any(isinstance(each, Multiple) and not isinstance(each.of, MedianGap) for each in flat):
        scope.say(place, "a time is compared with a multiple of median_gap only", "write of: {median_gap: ...}")
    if scope.cohort.for_each:
        scope.say(f"{path}.value", "a time since is of no single cohort of a family", "count events, or evaluate: day")


def _contradiction(scope: Scope, path: str, key: str, found: Compare, leave: Bound) -> None:
    entry = found.bound
    if isinstance(entry, Percentile) and isinstance(leave, Percentile):
        entry, leave = entry.percentile, leave.percentile
    if not isinstance(entry, str) or not isinstance(leave, str):
        return
    first, last = (scope.cohort.params[each.removeprefix("$")] for each in (entry, leave))
    # More than 2 and leaving below 3 is the same number twice.
    slack = 1 if found.comparison in ("more_than", "less_than") and first.unit in ("count", "minor") else 0
    gap = scope.cohort.param(leave) - scope.cohort.param(entry)
    if first.unit == last.unit and (gap if key == "leave_below" else -gap) > slack:
        said = f"{found.comparison} {first.value} and {key} {last.value} contradict: who enters leaves at once"
        side = "not above" if key == "leave_below" else "not below"
        scope.say(f"{path}.{key}", said, f"let {leave} be {side} {entry}")


def bound(scope: Scope, path: str, found: Bound, unit: str | None) -> None:
    """Check that a bound has the unit of what it is compared with."""
    if isinstance(found, str):
        if unit == "instant":
            scope.say(path, "an instant is compared with a percentile only", "write {percentile: $name}, or since")
        elif unit:
            param(scope, path, found, unit)
    elif isinstance(found, Greatest):
        for place, each in enumerate(found.greatest):
            bound(scope, f"{path}.greatest.{place}", each, unit)
    elif isinstance(found, Percentile):
        _percentile(scope, path, found)
    else:
        _multiple(scope, path, found, unit)


def _percentile(scope: Scope, path: str, found: Percentile) -> None:
    if not scope.by_day:
        scope.say(path, "a percentile is over the subjects at the end of a day", "write evaluate: day")
    percent = param(scope, f"{path}.percentile", found.percentile, "percent")
    if percent is not None and percent > 100:
        scope.say(f"{path}.percentile", f"there is no percentile {percent}", "write at most 100")
    if found.population is not None:
        param(scope, f"{path}.population", found.population, "count")
    window(scope, f"{path}.history", found.history)


def _multiple(scope: Scope, path: str, found: Multiple, unit: str | None) -> None:
    param(scope, f"{path}.multiple", found.multiple, "count")
    own = value(scope, f"{path}.of", found.of)
    if own == "instant":
        scope.say(f"{path}.of", "an instant has no multiple", "write since")
    elif own and unit and own != unit:
        scope.say(f"{path}.of", f"is {SAID[own]}, compared with {SAID[unit]}", "write a value of the same unit")


def holds_for_nobody_known(scope: Scope, found: Rule) -> bool:
    """Whether a rule holds for somebody who never did anything, so that nobody could list its members."""
    if isinstance(found, All | AnyOf | NoneOf):
        parts: tuple[Rule, ...] = getattr(found, next(iter(type(found).model_fields)))
        held = [holds_for_nobody_known(scope, part) for part in parts]
        return all(held) if isinstance(found, All) else any(held) == isinstance(found, AnyOf)
    if not isinstance(found, Compare) or not isinstance(found.value, Count | Sum | Distinct):
        return False
    if not isinstance(found.bound, str):
        return False
    limit = scope.cohort.param(found.bound)
    return {
        "at_least": limit <= 0,
        "more_than": False,
        "at_most": True,
        "less_than": limit > 0,
        "equals": limit == 0,
    }[found.comparison]


def known_cohort(scope: Scope, path: str, name: str) -> None:
    """Check that a rule may refer to another cohort."""
    base, _, key = name.partition(":")
    target = scope.found.get(base)
    if target is None:
        scope.say(path, f"{base!r} is not a cohort", nearest(base, set(scope.found) - {scope.cohort.id}))
        return
    if target.subject != scope.cohort.subject:
        said = f"{base!r} is of {target.subject}s and this cohort of {scope.cohort.subject}s"
        scope.say(path, said, f"name a cohort of {scope.cohort.subject}s")
    if target.for_each:
        scope.say(path, f"{base!r} is a family, which no rule can name", "repeat its rule with a condition")
    elif key:
        scope.say(path, f"{base!r} is no family", f"write {base}")
    if scope.cohort.for_each and not scope.by_day:
        scope.say(path, "a family that is decided at instants cannot name cohorts", "write evaluate: day")
    if not scope.by_day and target.evaluate == "day":
        scope.say(path, f"{base!r} is decided by day, this cohort at instants", "write evaluate: day")
    elif not scope.by_day and target.of_cart and not scope.cohort.of_cart:
        scope.say(path, f"{base!r} is a cohort of carts", "write evaluate: day, or a rule of carts")


def _member(scope: Scope, path: str, found: Member) -> None:
    known_cohort(scope, f"{path}.cohort", found.cohort)


def _left(scope: Scope, path: str, found: Left) -> None:
    known_cohort(scope, f"{path}.left", found.left)
    window(scope, f"{path}.within", found.within)
    causes = {*scope.streams, *CAUSES} - {"cart_activity"}
    if found.because_of not in causes:
        scope.say(f"{path}.because_of", f"{found.because_of!r} is no cause", nearest(found.because_of, causes))


def _without(scope: Scope, path: str, found: Without) -> None:
    if found.after == "cart_activity":
        return
    after = stream(scope, f"{path}.after", found.after)
    where(scope, f"{path}.where", found.where, [after] if after else [])
    for place, name in enumerate(found.without):
        stream(scope, f"{path}.without.{place}", name)
    if scope.cohort.for_each:
        scope.say(path, "an absence is of no single cohort of a family", "remove for_each")
    within = window(scope, f"{path}.within", found.within)
    ttl = scope.cohort.ttl
    if ttl is None and not scope.cohort.until:
        scope.say(
            "ttl", "nothing ends a membership that begins by absence", "add ttl: $ttl and the parameter, or until"
        )
    timed = ttl is not None and scope.cohort.params[ttl.removeprefix("$")].unit == "duration"
    if ttl and timed and within and scope.cohort.param(ttl) <= within:
        scope.say("ttl", f"{ttl} ends membership before {found.within} begins it", f"let it be above {found.within}")


def _keyed(scope: Scope, path: str, found: Stream | None) -> None:
    family = scope.cohort.for_each
    if found and family and family not in found.fields:
        scope.say(path, f"{found.many} have no {family!r}, which for_each names", nearest(family, found.fields))


def _open(scope: Scope, path: str, found: Open) -> None:
    of = stream(scope, f"{path}.open", found.open)
    where(scope, f"{path}.where", found.where, [of] if of else [])
    _keyed(scope, f"{path}.open", of)
    ending = ENDING[scope.cohort.subject]
    if of and found.open not in ending:
        scope.say(f"{path}.open", f"{of.many} do not end", f"count them, or write one of: {', '.join(ending)}")


def _then(scope: Scope, path: str, found: Then) -> None:
    steps = {"first": found.first, "then": found.then}
    steps |= {f"{key}.{place}": step for key in ("unless", "until") for place, step in enumerate(getattr(found, key))}
    for key, step in steps.items():
        _step(scope, f"{path}.{key}", step, found.same)
    times = {key: window(scope, f"{path}.{key}", getattr(found, key)) for key in ("within", "lasts", "lasts_after")}
    within, lasts = times["within"], times["lasts"]
    if within and lasts and lasts < within:
        scope.say(f"{path}.lasts", "is over before the second event may come", f"let it be at least {found.within}")
    if not (found.lasts or found.lasts_after or found.until or scope.cohort.ttl):
        scope.say(path, "nothing ends a membership", "add until, lasts or lasts_after")
    if scope.cohort.for_each and scope.cohort.for_each != found.same:
        scope.say(f"{path}.same", "a family of sequences is per value of same", f"write same: {scope.cohort.for_each}")


def _step(scope: Scope, path: str, found: Step, same: str) -> None:
    named = {
        name: stream(scope, f"{path}.event.{place}", name, sequence=True) for place, name in enumerate(found.event)
    }
    streams = [each for each in named.values() if each]
    where(scope, f"{path}.where", found.where, streams)
    for name, each in named.items():
        if each and same not in each.fields:
            scope.say(f"{path}.event", f"{name!r} has no {same!r}, which same names", nearest(same, each.fields))


_CHECKS: Mapping[type, Callable[[Scope, str, Any], None]] = {
    Compare: _compare,
    Member: _member,
    Left: _left,
    Without: _without,
    Then: _then,
    Open: _open,
}
