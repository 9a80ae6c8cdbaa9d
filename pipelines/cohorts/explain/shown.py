"""Numbers as people and JSON read them: durations, money, instants, shares; by how much a bound is met or missed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pipelines.cohorts.explain.case import instant, told
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.values import Add, Extreme, Instant, MedianGap, Share, Since, Sum, Term, Times
from pipelines.cohorts.language.vocabulary import streams
from pipelines.signals.units import DAY, HOUR, MINUTE

_SECOND = 1_000_000
_SPANS = (("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", _SECOND), ("microsecond", 1))
_PLACES = 6
#: How two numbers compare -> what is needed in words.
NEEDS = {
    "at_least": "at least {}",
    "more_than": "more than {}",
    "at_most": "at most {}",
    "less_than": "less than {}",
    "equals": "exactly {}",
    "differs": "anything but {}",
}
OPPOSITE = {
    "at_least": "less_than",
    "more_than": "at_most",
    "at_most": "more_than",
    "less_than": "at_least",
    "equals": "differs",
}
_MISSED = {
    "duration": ("{} to go", "{} too long"),
    "instant": ("{} too early", "{} too late"),
    "percent": ("{} short", "{} too much"),
    "minor": ("{} short", "{} too much"),
    "number": ("{} short", "{} too much"),
    "count": ("{} short", "{} too many"),
}


def unit_of(cohort: Cohort, what: Term) -> str:
    """``count``, ``minor``, ``duration``, ``instant``, ``percent`` or ``number``."""
    if isinstance(what, str):
        unit = cohort.params[what.removeprefix("$")].unit
        return unit if unit in ("minor", "duration", "percent", "count") else "number"
    if isinstance(what, Since | MedianGap):
        return "duration"
    if isinstance(what, Instant):
        return "instant"
    if isinstance(what, Share):
        return "percent"
    if isinstance(what, Add | Times):
        units = [unit_of(cohort, each) for each in (what.add if isinstance(what, Add) else what.times)]
        units = [each for each in units if each != "count"] or ["count"]
        return units[0] if len(set(units)) == 1 else "number"
    if isinstance(what, Sum | Extreme):
        name = what.sum if isinstance(what, Sum) else what.min or what.max or what.avg or ""
        return "minor" if streams(cohort.subject)[what.of].fields.get(name) == "minor" else "number"
    return "count" if hasattr(what, "count") or hasattr(what, "distinct") else "number"


def written(found: Fraction | None, unit: str) -> str:
    """A number with its unit, for people."""
    if found is None:
        return "none"
    if unit == "duration":
        return duration(int(found))
    if unit == "instant":
        return told(int(found))
    text = f"{int(found):,}" if found.denominator == 1 else f"{float(found):,.6g}"
    return text + {"percent": "%", "minor": " minor units"}.get(unit, "")


def plain(found: Fraction | None, unit: str) -> Any:
    """A number for JSON: instants as such, durations in seconds, fractions with six places."""
    if found is None:
        return None
    if unit == "instant":
        return instant(int(found))
    exact = found / 1_000_000 if unit == "duration" else found
    return int(exact) if exact.denominator == 1 else round(float(exact), _PLACES)


def duration(length: int) -> str:
    """The two greatest units of a time: ``36 days 2 hours``; from a minute on rounded to seconds."""
    rest, said = abs(length), []
    if rest >= MINUTE:
        # The last instant of a day is a microsecond before its end, and nobody says so.
        rest = (rest + _SECOND // 2) // _SECOND * _SECOND
    for name, size in _SPANS:
        many, rest = divmod(rest, size)
        if many:
            said.append(f"{many:,} {name}{'' if many == 1 else 's'}")
        elif said:
            break
        if len(said) == 2:
            break
    return " ".join(said) or "no time"


def gap(found: Fraction, comparison: str, bound: Fraction, unit: str) -> str:
    """By how much a comparison is met or missed."""
    difference = found - bound
    # One more is the least that is more, of what is counted in whole steps.
    step = Fraction(1) if unit in ("count", "minor", "duration", "instant") else Fraction(0)
    short, long = _MISSED[unit]
    if comparison == "equals":
        return "met" if not difference else (short if difference < 0 else long).format(_size(difference, unit))
    if comparison == "differs":
        return "met" if difference else "that is what it is"
    if comparison in ("at_least", "more_than"):
        missing = -difference + (step if comparison == "more_than" else 0)
        met = difference >= 0 if comparison == "at_least" else difference > 0
        spare, missed = -missing, short
    else:
        missing = difference + (step if comparison == "less_than" else 0)
        met = difference <= 0 if comparison == "at_most" else difference < 0
        spare, missed = -missing, long
    if met:
        return f"met, with {_size(spare, unit)} to spare" if spare else "just met"
    return missed.format(_size(missing, unit)) if missing else "just missed"


def _size(found: Fraction, unit: str) -> str:
    size = abs(found)
    return duration(int(size)) if unit == "instant" else written(size, unit)
