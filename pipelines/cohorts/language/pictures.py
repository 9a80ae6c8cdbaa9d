"""The windows of a rule drawn as text: how far back a number looks, how long after an event something happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.cohorts.language.bounds import Greatest
from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.phrases import common_window, conditions, events, joined, number, stream, value
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
from pipelines.cohorts.language.values import Add, Events, MedianGap, Over, Share, Since

WIDTH = 40


@dataclass(frozen=True)
class Bar:
    """A stretch of time.

    Attributes:
        begin: what is at its left end.
        length: microseconds; None where it has no end that is known.
        text: what it is called.
        end: what is at its right end.
        back: it is looked back on, so that its right end is now.
    """

    begin: str
    length: int | None
    text: str
    end: str
    back: bool = False


def picture(cohort: Cohort) -> str:
    """The windows of a cohort, one a line, drawn to one scale where their names leave room."""
    bars = list(dict.fromkeys(_bars(cohort)))
    margin = max(len(bar.begin) for bar in bars)
    longest = max((bar.length or 0 for bar in bars), default=0)
    return "\n".join(_line(bar, margin, longest) for bar in bars)


def _line(bar: Bar, margin: int, longest: int) -> str:
    share = WIDTH if bar.length is None or not longest else WIDTH * bar.length // longest
    text = f" {bar.text} "
    body = text.center(max(share, len(text) + 4) - 2, "─")
    drawn = f"├{body}┤" if bar.back else f"├{body}▶"
    placed = drawn.rjust(WIDTH) if bar.back else drawn
    return f"{bar.begin.ljust(margin)} {placed} {bar.end}".rstrip()


def _bars(cohort: Cohort) -> Iterator[Bar]:
    for leaf, holds in _signed(cohort.rule, True):
        if holds:
            yield from _DRAWN[type(leaf)](cohort, leaf)
        elif isinstance(leaf, Member):
            yield Bar(f"cohort {leaf.cohort}", None, "while not in it", "")
        elif isinstance(leaf, Open):
            yield Bar(stream(cohort, leaf.open).one, None, "while none is open", "")
        else:
            for bar in _DRAWN[type(leaf)](cohort, leaf):
                ended = {"enters": "leaves", "leaves": "enters"}
                yield replace(bar, end=ended.get(bar.end, bar.end))
    absent = any(isinstance(leaf, Without) for leaf in leaves(cohort.rule))
    for key, end in (("ttl", "leaves"), ("dwell", "may leave"), ("cooldown", "may enter again")):
        if getattr(cohort, key) and not (key == "ttl" and absent):
            yield _from(cohort, "leaves" if key == "cooldown" else "enters", getattr(cohort, key), end)


def _signed(rule: Rule, holds: bool) -> Iterator[tuple[Any, bool]]:
    """Leaves from left to right, and whether each must hold or must not."""
    if isinstance(rule, All | AnyOf | NoneOf):
        for part in getattr(rule, next(iter(type(rule).model_fields))):
            yield from _signed(part, holds != isinstance(rule, NoneOf))
    else:
        yield rule, holds


def _from(cohort: Cohort, begin: str, reference: str | None, end: str, otherwise: str = "any time") -> Bar:
    if reference is None:
        return Bar(begin, None, otherwise, end)
    return Bar(begin, cohort.param(reference), number(cohort, reference), end)


def _compare(cohort: Cohort, found: Compare) -> Iterator[Bar]:
    now = "end of the day" if cohort.evaluate == "day" else "now"
    within = common_window(found.value)
    if isinstance(found.value, Since):
        yield _since(cohort, found)
    elif within:
        yield Bar(_short(cohort, found.value), cohort.param(within), number(cohort, within), now, True)
    else:
        for each in _numbers(found.value):
            if isinstance(each, Events) and each.within:
                said = value(cohort, each, windows=False)  # type: ignore[arg-type]
                yield Bar(said, cohort.param(each.within), number(cohort, each.within), now, True)
            elif not isinstance(each, MedianGap):
                yield Bar(_short(cohort, each), None, "ever", now, True)


def _numbers(found: Any) -> Iterator[Any]:
    if isinstance(found, Add | Over):
        parts = found.add if isinstance(found, Add) else found.over
        for part in parts:
            if not isinstance(part, str):
                yield from _numbers(part)
    elif isinstance(found, Share):
        yield from _numbers(found.share)
        yield from _numbers(found.to)
    else:
        yield found


def _short(cohort: Cohort, found: Any) -> str:
    """Whose events a number is about, without conditions, so that the drawing stays narrow."""
    names = dict.fromkeys(stream(cohort, name).many for name in _streams(found))
    return joined(names, "and")


def _streams(found: Any) -> Iterator[str]:
    if isinstance(found, Events | Since | MedianGap):
        keys = ("of",) if hasattr(found, "of") else ("count", "first", "last", "since", "since_first", "median_gap")
        yield from (name for key in keys if (name := getattr(found, key, None)))
        return
    for part in found if isinstance(found, tuple) else [getattr(found, key) for key in type(found).model_fields]:
        if not isinstance(part, str):
            yield from _streams(part)


def _since(cohort: Cohort, found: Compare) -> Bar:
    assert isinstance(found.value, Since)  # noqa: S101
    name = found.value.since_first or found.value.since or ""
    begin = f"{'first' if found.value.since_first else 'last'} {events(cohort, name, found.value, one=True)}"
    end = "enters" if found.comparison in ("at_least", "more_than") else "leaves"
    bound = found.bound
    first = bound.greatest[0] if isinstance(bound, Greatest) else bound
    if not isinstance(first, str):
        return Bar(begin, None, "long enough", end)
    text = f"{number(cohort, first)} or longer" if isinstance(bound, Greatest) else number(cohort, first)
    return Bar(begin, cohort.param(first), text, end)


def _member(cohort: Cohort, found: Member) -> Iterator[Bar]:
    yield Bar(f"cohort {found.cohort}", None, "while in it", "")


def _left(cohort: Cohort, found: Left) -> Iterator[Bar]:
    yield _from(cohort, f"leaves {found.left}: enters", found.within, "leaves")


def _without(cohort: Cohort, found: Without) -> Iterator[Bar]:
    after = stream(cohort, found.after).one
    missing = joined([stream(cohort, name).one for name in found.without], "or")
    yield Bar(after, cohort.param(found.within), f"{number(cohort, found.within)}, no {missing}", "enters")
    if cohort.ttl:
        yield _from(cohort, after, cohort.ttl, "leaves")


def _then(cohort: Cohort, found: Then) -> Iterator[Bar]:
    first, second = _step(cohort, found.first), _step(cohort, found.then)
    yield _from(cohort, first, found.within, f"{second}: enters")
    if found.lasts:
        yield _from(cohort, first, found.lasts, "leaves")
    if found.lasts_after:
        yield _from(cohort, second, found.lasts_after, "leaves")


def _step(cohort: Cohort, found: Step) -> str:
    if found.event == ("crossing",) and isinstance(found.where.get("signal"), str):
        return f"change of {found.where['signal']}"
    said = joined([stream(cohort, name).one for name in found.event], "or")
    return said + (conditions(cohort, found.where) if len(found.event) == 1 else "")


def _open(cohort: Cohort, found: Open) -> Iterator[Bar]:
    yield Bar(f"{stream(cohort, found.open).one}: enters", None, "until it ends", "leaves")


def _cart_value(cohort: Cohort, found: CartValue) -> Iterator[Bar]:
    days = cohort.params[found.at_least.greatest[1].partitions.removeprefix("$")].value
    yield Bar("open carts", None, f"{days} days", "start of the day", True)


def _cart_signal(cohort: Cohort, found: CartSignal) -> Iterator[Bar]:
    yield _from(cohort, f"no product {joined(found.any_in, 'or')}", found.leave_after, "leaves")


_DRAWN: Mapping[type, Callable[[Cohort, Any], Iterator[Bar]]] = {
    Compare: _compare,
    Member: _member,
    Left: _left,
    Without: _without,
    Then: _then,
    Open: _open,
    CartValue: _cart_value,
    CartSignal: _cart_signal,
}
