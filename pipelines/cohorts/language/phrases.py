"""Words for parameters, windows, conditions and values. Whole rules are put together in ``words``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.values import (
    Add,
    AnyIn,
    AtLeast,
    AtMost,
    Count,
    Distinct,
    Events,
    Extreme,
    Instant,
    MedianGap,
    Over,
    Share,
    Since,
    Sum,
    Term,
    Times,
    Value,
    Where,
)
from pipelines.cohorts.language.vocabulary import CUSTOMER, PRODUCT, VISITOR, Stream

_UNITS = {"m": "minute", "h": "hour", "d": "day", "w": "week"}
_FIELDS = {
    "product_id": "product",
    "category": "category",
    "session_id": "session",
    "outlet_id": "outlet",
    "group_id": "group",
    "campaign_id": "campaign",
    "order_id": "order",
    "link_id": "link",
    "net_minor": "net value",
    "session_products": "products viewed in the session by then",
    "session_repeats": "views of one product in the session by then",
    "session_adds": "adds to bag in the session by then",
}
_FLAGS = {
    "discounted": ("with a discount", "without a discount"),
    "scarce": ("viewed while scarce", "viewed while not scarce"),
    "converted": ("added or bought within a day", "not added or bought within a day"),
    "cart_open": ("that leaves the cart open", "that leaves the cart empty"),
}


def number(cohort: Cohort, reference: str) -> str:
    """A parameter with its unit, such as ``30 days`` or ``60%``."""
    param = cohort.params[reference.removeprefix("$")]
    if param.unit == "duration":
        digits, letter = re.fullmatch(r"(\d+)([mhdw])", str(param.value)).groups()  # type: ignore[union-attr]
        return f"{int(digits):,} {_UNITS[letter]}{'' if int(digits) == 1 else 's'}"
    written = f"{param.value:,}" if isinstance(param.value, int) else str(param.value)
    return written + {"percent": "%", "minor": " minor units", "days": " days"}.get(param.unit, "")


def ordinal(cohort: Cohort, reference: str) -> str:
    """A parameter as ``90th``."""
    value = int(cohort.params[reference.removeprefix("$")].value)
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"


def stream(cohort: Cohort, name: str) -> Stream:
    """A stream that the cohort names."""
    own = VISITOR if cohort.subject == "visitor" else CUSTOMER
    return {**own, **PRODUCT}[name]


def field(name: str) -> str:
    """A field in words, singular."""
    return _FIELDS.get(name, name.replace("_", " "))


def plural(word: str) -> str:
    """Several of what a field holds."""
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return word if word.endswith("s") else f"{word}s"


def a(word: str) -> str:
    """A word with its article."""
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def joined(words: Iterable[str], last: str) -> str:
    """``a, b or c``."""
    *most, end = list(words)
    return f"{', '.join(most)} {last} {end}" if most else end


def window(cohort: Cohort, reference: str | None) -> str:
    """``in the last 90 days``."""
    return f" in the last {number(cohort, reference)}" if reference else ""


def condition(cohort: Cohort, name: str, found: Any) -> str:
    """A condition on a field as it follows a noun."""
    if isinstance(found, bool):
        true, false = _FLAGS.get(name, (f"with {field(name)}", f"without {field(name)}"))
        return true if found else false
    if isinstance(found, AtLeast | AtMost):
        bound = found.at_least if isinstance(found, AtLeast) else found.at_most
        zero = isinstance(found, AtMost) and cohort.param(bound) == 0
        said = "no" if zero else f"at {'least' if isinstance(found, AtLeast) else 'most'} {number(cohort, bound)}"
        return f"with {said} {field(name)}"
    texts = joined(found.any_in if isinstance(found, AnyIn) else [found], "or")
    if name.startswith("signal."):
        return f"of a product whose {name.removeprefix('signal.')} then was {texts}"
    return f"with {field(name)} {texts}"


def conditions(cohort: Cohort, where: Where) -> str:
    """All conditions as they follow a noun, with a space before."""
    said = [condition(cohort, name, found) for name, found in where.items()]
    return f" {joined(said, 'and')}" if said else ""


def events(cohort: Cohort, name: str, found: Events | Since | MedianGap, *, one: bool = False) -> str:
    """Events of a stream with their conditions, without the window."""
    of = stream(cohort, name)
    noun = of.one if one else of.many
    where = getattr(found, "where", {})
    key = cohort.for_each
    family = ""
    if key and isinstance(found, Events) and key in of.fields:
        family = f" of any {field(key)}" if found.over_all else f" of the {field(key)}"
    return f"{noun}{family}{conditions(cohort, where)}"


def common_window(found: Any) -> str | None:
    """The window that every number in a value has; None when they differ or there is none."""
    seen = set(_windows(found))
    return seen.pop() if len(seen) == 1 else None


def _windows(found: Any) -> list[str | None]:
    if isinstance(found, Events):
        return [found.within]
    if isinstance(found, Add | Times | Over):
        return [each for part in _parts(found) if not isinstance(part, str) for each in _windows(part)]
    if isinstance(found, Share):
        return [*_windows(found.share), *_windows(found.to)]
    return [None]


def _parts(found: Add | Times | Over) -> Sequence[Term]:
    parts: Sequence[Term] = getattr(found, next(iter(type(found).model_fields)))
    return parts


def value(cohort: Cohort, found: Value, *, windows: bool = True) -> str:
    """A value as a noun phrase; without windows where a sentence says one for all its parts."""
    return _PHRASES[type(found)](cohort, found, windows)


def _within(cohort: Cohort, found: Events, windows: bool) -> str:
    return window(cohort, found.within) if windows else ""


def _count(cohort: Cohort, found: Count, windows: bool) -> str:
    return events(cohort, found.count, found) + _within(cohort, found, windows)


def _sum(cohort: Cohort, found: Sum, windows: bool) -> str:
    return f"the {field(found.sum)} of {events(cohort, found.of, found)}{_within(cohort, found, windows)}"


def _distinct(cohort: Cohort, found: Distinct, windows: bool) -> str:
    said = f"different {plural(field(found.distinct))} among {events(cohort, found.of, found)}"
    return said + _within(cohort, found, windows)


def _extreme(cohort: Cohort, found: Extreme, windows: bool) -> str:
    key = next(key for key in ("min", "max", "avg") if getattr(found, key) is not None)
    word = {"min": "least", "max": "greatest", "avg": "mean"}[key]
    said = f"the {word} {field(getattr(found, key))} of {events(cohort, found.of, found)}"
    return said + _within(cohort, found, windows)


def _instant(cohort: Cohort, found: Instant, windows: bool) -> str:
    name = found.first or found.last or ""
    which = "first" if found.first else "last"
    return f"the instant of the {which} {events(cohort, name, found, one=True)}{_within(cohort, found, windows)}"


def _since(cohort: Cohort, found: Since, windows: bool) -> str:
    name = found.since_first or found.since or ""
    return f"the time since the {'first' if found.since_first else 'last'} {events(cohort, name, found, one=True)}"


def _median_gap(cohort: Cohort, found: MedianGap, windows: bool) -> str:
    many = events(cohort, found.median_gap, found)
    said = f"the median time between {many}"
    if found.fewer_than:
        said += f" (with fewer than {number(cohort, found.fewer_than)}, that of the {cohort.subject}'s category)"
    return said


def term(cohort: Cohort, found: Term, windows: bool, *, inside: bool = False) -> str:
    """A part of an arithmetic, in brackets where it is one itself."""
    if isinstance(found, str):
        return number(cohort, found)
    said = value(cohort, found, windows=windows)
    return f"({said})" if inside and isinstance(found, Add | Over | Share | Times) else said


def _add(cohort: Cohort, found: Add, windows: bool) -> str:
    return " plus ".join(term(cohort, each, windows) for each in found.add)


def _times(cohort: Cohort, found: Times, windows: bool) -> str:
    return " times ".join(term(cohort, each, windows, inside=True) for each in found.times)


def _over(cohort: Cohort, found: Over, windows: bool) -> str:
    return " divided by ".join(term(cohort, each, windows, inside=True) for each in found.over)


def _share(cohort: Cohort, found: Share, windows: bool) -> str:
    part, whole = (term(cohort, each, windows, inside=True) for each in (found.share, found.to))
    return f"{part} as a percentage of {whole}"


_PHRASES: Mapping[type, Callable[[Cohort, Any, bool], str]] = {
    Count: _count,
    Sum: _sum,
    Distinct: _distinct,
    Extreme: _extreme,
    Instant: _instant,
    Since: _since,
    MedianGap: _median_gap,
    Add: _add,
    Times: _times,
    Over: _over,
    Share: _share,
}
