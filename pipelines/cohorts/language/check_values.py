"""Checks of the numbers in a rule: streams, fields, conditions, windows, and the unit that each number has.

Checks of leaves and of whole definitions are in ``check_rules`` and ``check``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.cohorts.language.problems import Problem, nearest
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
from pipelines.signals.units import DAY

#: Streams whose rows say the day only, so that no instant inside one can be asked for.
BY_DAY = ("activity", "scarce_day")
#: Units that a rule may compare or multiply with; ``quantity`` and ``days`` are for signals.
SAID = {
    "duration": "a duration",
    "count": "a count",
    "minor": "money (minor)",
    "percent": "a percentage",
    "ratio": "a ratio",
    "quantity": "a quantity",
    "days": "a number of days of stock",
    "instant": "an instant",
}
SIGNAL = "signal."


@dataclass(frozen=True)
class Scope:
    """One definition under check.

    Attributes:
        cohort: the definition.
        found: every definition by id.
        states: signal id -> its states, of signals that have states.
        problems: what was found so far; checks add to it.
    """

    cohort: Cohort
    found: Mapping[str, Cohort]
    states: Mapping[str, Sequence[str]]
    problems: list[Problem] = field(default_factory=list)

    def say(self, path: str, problem: str, fix: str) -> None:
        """Add a problem."""
        file = self.cohort._file
        self.problems.append(Problem(str(file) if file else f"{self.cohort.id}.yaml", path, problem, fix))

    @property
    def by_day(self) -> bool:
        """Whether the rule is decided at the end of days."""
        return self.cohort.evaluate == "day"

    @property
    def streams(self) -> Mapping[str, Stream]:
        """Streams of the cohort's subject."""
        return VISITOR if self.cohort.subject == "visitor" else CUSTOMER


def param(scope: Scope, path: str, reference: str, *units: str) -> int | None:
    """The value of a parameter; None when it has another unit, which is said."""
    name = reference.removeprefix("$")
    found = scope.cohort.params[name]
    if found.unit in units:
        return scope.cohort.param(name)
    wanted = " or ".join(units)
    scope.say(
        path,
        f"{reference} is {SAID[found.unit]}, here stands {' or '.join(SAID[unit] for unit in units)}",
        f"set unit: {wanted} in params.{name} or name another parameter",
    )
    return None


def window(scope: Scope, path: str, reference: str | None) -> int | None:
    """Microseconds of a duration; of days only where the rule is decided by day."""
    if reference is None:
        return None
    found = param(scope, path, reference, "duration")
    if found is not None and scope.by_day and found % DAY:
        written = scope.cohort.params[reference.removeprefix("$")].value
        scope.say(path, f"{written} is no whole number of days", "write days, or evaluate: instant")
    return found


def stream(scope: Scope, path: str, name: str, *, sequence: bool = False) -> Stream | None:
    """The stream of a name; None when the cohort cannot name it there, which is said."""
    known = {**scope.streams, **(PRODUCT if sequence else {})}
    if name in PRODUCT and not sequence:
        scope.say(path, f"{name!r} is of products", "name it as an event of a sequence with same: product_id")
    elif name in known and name in BY_DAY and not scope.by_day:
        scope.say(path, f"{name!r} is known by day only", "write evaluate: day")
    elif name == "cart_activity":
        scope.say(path, "'cart_activity' is for rules of abandoned carts", "write activity, add or remove instead")
    elif name in known:
        return known[name]
    elif name in (CUSTOMER if scope.cohort.subject == "visitor" else VISITOR):
        other = "customer" if scope.cohort.subject == "visitor" else "visitor"
        scope.say(
            path,
            f"{name!r} is of {other}s and this cohort of {scope.cohort.subject}s",
            f"write subject: {other} or one of: {', '.join(known)}",
        )
    else:
        scope.say(path, f"{name!r} is not a stream", nearest(name, known))
    return None


def type_of(scope: Scope, path: str, name: str, found: Stream) -> str | None:
    """Type of a field of a stream; None when there is no such field, which is said."""
    if name in found.fields:
        return found.fields[name]
    if name.startswith(SIGNAL) and "product_id" in found.fields:
        return "text" if _signal(scope, path, name.removeprefix(SIGNAL)) else None
    if name.startswith(SIGNAL):
        scope.say(path, f"a {found.one} has no product, so that it has no {name}", "remove it")
    else:
        scope.say(path, f"{name!r} is not a field of {found.many}", nearest(name, found.fields))
    return None


def _signal(scope: Scope, path: str, signal: str) -> bool:
    if signal not in scope.states:
        scope.say(path, f"{signal!r} is not a signal with states", nearest(signal, scope.states))
    return signal in scope.states


def where(scope: Scope, path: str, conditions: Where, found: Sequence[Stream]) -> None:
    """Check that the conditions fit the fields of every one of the streams."""
    for name, condition in conditions.items():
        place = f"{path}.{name}"
        different = {each.one: each for each in found}
        types = {type_of(scope, place, name, each) for each in different.values()}
        for kind in sorted(kind for kind in types if kind):
            _fits(scope, place, kind, condition)
        _states(scope, place, name, condition, conditions, found)


def _fits(scope: Scope, path: str, kind: str, condition: Any) -> None:
    if isinstance(condition, AtLeast | AtMost):
        key = "at_least" if isinstance(condition, AtLeast) else "at_most"
        if kind in ("number", "minor"):
            param(scope, f"{path}.{key}", getattr(condition, key), "count" if kind == "number" else "minor")
            return
    elif isinstance(condition, bool):
        if kind == "flag":
            return
    elif kind == "text":
        if not str(condition).startswith("$"):
            return
        scope.say(path, f"{condition} is a number, the field is a text", "write the text itself")
        return
    fixes = {"text": "write a text or {any_in: [...]}", "flag": "write true or false"}
    said = {"text": "a text", "flag": "true or false", "number": "a number", "minor": "a number"}
    fix = fixes.get(kind, "write {at_least: $name} or {at_most: $name}")
    scope.say(path, f"the field is {said[kind]}, the condition is not for one", fix)


def _states(scope: Scope, path: str, name: str, condition: Any, conditions: Where, found: Sequence[Stream]) -> None:
    crossing = any(each.subject == "product" for each in found)
    named = _texts(condition)
    if name.startswith(SIGNAL):
        signal = [name.removeprefix(SIGNAL)]
    elif crossing and name == "signal":
        for each in named:
            _signal(scope, path, each)
        return
    elif crossing and name in ("from_state", "to_state"):
        signal = _texts(conditions.get("signal"))
        if not signal:
            scope.say(path, "a state of which signal is not said", "add signal: to the conditions")
    else:
        return
    known = {state for each in signal for state in scope.states.get(each, ())}
    for state in named if known else ():
        if state not in known:
            scope.say(path, f"{state!r} is not a state of {' or '.join(signal)}", nearest(state, known))


def _texts(condition: Any) -> list[str]:
    if isinstance(condition, AnyIn):
        return list(condition.any_in)
    return [condition] if isinstance(condition, str) else []


def value(scope: Scope, path: str, found: Value) -> str | None:
    """Check a value and say which unit it has; None when something in it is wrong."""
    return _CHECKS[type(found)](scope, path, found)


def term(scope: Scope, path: str, found: Term) -> str | None:
    """Check a value or a parameter of an arithmetic and say which unit it has."""
    if not isinstance(found, str):
        return value(scope, path, found)
    unit = scope.cohort.params[found.removeprefix("$")].unit
    return unit if param(scope, path, found, "count", "ratio", "minor", "duration") is not None else None


def _events(scope: Scope, path: str, key: str, name: str, found: Events | Since) -> Stream | None:
    of = stream(scope, f"{path}.{key}", name)
    where(scope, f"{path}.where", found.where, [of] if of else [])
    over_all = isinstance(found, Events) and found.over_all
    if isinstance(found, Events):
        window(scope, f"{path}.within", found.within)
    family = scope.cohort.for_each
    if over_all and not (family and scope.by_day):
        missing = "for_each: a field" if not family else "evaluate: day"
        scope.say(f"{path}.over_all", "is for families that are decided by day", f"add {missing} or remove it")
    if of and family and isinstance(found, Events) and not over_all and family not in of.fields:
        fix = nearest(family, of.fields) if of.fields else "name another stream"
        scope.say(f"{path}.{key}", f"{of.many} have no {family!r}, which for_each names", f"in for_each or here: {fix}")
    return of


def _count(scope: Scope, path: str, found: Count) -> str | None:
    return "count" if _events(scope, path, "count", found.count, found) else None


def _sum(scope: Scope, path: str, found: Sum) -> str | None:
    of = _events(scope, path, "of", found.of, found)
    return _number(scope, f"{path}.sum", found.sum, of) if of else None


def _number(scope: Scope, path: str, name: str, of: Stream) -> str | None:
    kind = type_of(scope, path, name, of)
    if kind in ("number", "minor"):
        return "count" if kind == "number" else "minor"
    if kind:
        numbers = [each for each, its in of.fields.items() if its in ("number", "minor")]
        scope.say(path, f"{name!r} is no number", nearest(name, numbers) if numbers else "count events instead")
    return None


def _distinct(scope: Scope, path: str, found: Distinct) -> str | None:
    of = _events(scope, path, "of", found.of, found)
    return "count" if of and type_of(scope, f"{path}.distinct", found.distinct, of) else None


def _one_of(scope: Scope, path: str, found: Any, keys: tuple[str, ...]) -> str | None:
    given = [key for key in keys if getattr(found, key) is not None]
    if len(given) == 1:
        return given[0]
    scope.say(path, f"has {' and '.join(given) or 'nothing'} to compute", f"write one of: {', '.join(keys)}")
    return None


def _extreme(scope: Scope, path: str, found: Extreme) -> str | None:
    key = _one_of(scope, path, found, ("min", "max", "avg"))
    of = _events(scope, path, "of", found.of, found)
    return _number(scope, f"{path}.{key}", getattr(found, key), of) if key and of else None


def _instant(scope: Scope, path: str, found: Instant) -> str | None:
    key = _one_of(scope, path, found, ("first", "last"))
    return "instant" if key and _events(scope, path, key, getattr(found, key), found) else None


def _since(scope: Scope, path: str, found: Since) -> str | None:
    key = _one_of(scope, path, found, ("since", "since_first"))
    return "duration" if key and _events(scope, path, key, getattr(found, key), found) else None


def _median_gap(scope: Scope, path: str, found: MedianGap) -> str | None:
    of = stream(scope, f"{path}.median_gap", found.median_gap)
    if scope.by_day:
        scope.say(path, "a median of gaps is followed at instants only", "write evaluate: instant")
    if (found.fewer_than is None) != (found.otherwise is None):
        scope.say(path, "fewer_than and otherwise belong together", "add the other or remove both")
    if found.fewer_than is not None:
        param(scope, f"{path}.fewer_than", found.fewer_than, "count")
    if found.otherwise and scope.cohort.subject != "customer":
        scope.say(f"{path}.otherwise", "visitors have no category", "remove fewer_than and otherwise")
    return "duration" if of else None


def is_fraction(found: Value) -> bool:
    """Whether a value may be something else than a whole number."""
    if isinstance(found, Add | Times):
        parts = found.add if isinstance(found, Add) else found.times
        return any(not isinstance(part, str) and is_fraction(part) for part in parts)
    return isinstance(found, Over | Share) or (isinstance(found, Extreme) and found.avg is not None)


def _terms(scope: Scope, path: str, terms: Sequence[Term]) -> list[str] | None:
    units = [term(scope, f"{path}.{place}", each) for place, each in enumerate(terms)]
    known = [unit for unit in units if unit]
    if "instant" in known:
        scope.say(path, "an instant cannot be computed with", "compare it with a percentile, or write since")
        return None
    return known if len(known) == len(units) else None


def _add(scope: Scope, path: str, found: Add) -> str | None:
    units = _terms(scope, f"{path}.add", found.add)
    if units and len(set(units)) > 1:
        scope.say(f"{path}.add", f"adds {' and '.join(sorted(SAID[unit] for unit in set(units)))}", "add equal units")
        return None
    return units[0] if units else None


def _times(scope: Scope, path: str, found: Times) -> str | None:
    units = _terms(scope, f"{path}.times", found.times)
    if not units:
        return None
    measured = [unit for unit in units if unit not in ("count", "ratio")]
    if len(measured) > 1:
        fix = "let all but one be a count or a ratio"
        scope.say(f"{path}.times", f"multiplies {' by '.join(SAID[unit] for unit in measured)}", fix)
        return None
    return measured[0] if measured else "ratio" if "ratio" in units else "count"


def _over(scope: Scope, path: str, found: Over) -> str | None:
    units = _terms(scope, f"{path}.over", found.over)
    if not units:
        return None
    upper, lower = units
    if upper == lower:
        return "ratio"
    if lower in ("count", "ratio"):
        return "ratio" if upper == "count" else upper
    scope.say(f"{path}.over", f"divides {SAID[upper]} by {SAID[lower]}", "divide equal units, or divide by a count")
    return None


def _share(scope: Scope, path: str, found: Share) -> str | None:
    part, whole = value(scope, f"{path}.share", found.share), value(scope, f"{path}.to", found.to)
    if "instant" in (part, whole) or (part and whole and part != whole):
        said = f"{SAID[part or 'instant']} has no share of {SAID[whole or 'instant']}"
        scope.say(path, said, "write two values of one unit, or over")
        return None
    return "percent" if part and whole else None


_CHECKS: Mapping[type, Callable[[Scope, str, Any], str | None]] = {
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
