"""Which endpoint wants which event: event types, patterns, and filters on the fields of ``data``.

``cohort.*`` is every type of a group, ``*`` every type but those about delivery itself, which are asked for by name or
as ``endpoint.*`` and ``delivery.*``.

A filter maps a field to a value, a list of values, or comparisons, all of which must hold:
``{"cohort_id": ["cart_abandoner"], "cart_total_value_minor": {"gte": 20000}}``. A field that is absent never matches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from pipelines.errors import UsageError
from schemas.events import EVENT_TYPES

COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in")
_OPERATORS = {"!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_TYPED = re.compile(r"(?P<field>[a-z][a-z0-9_]*)\s*(?P<operator>!=|>=|<=|=|>|<)(?P<value>.*\S.*)")


def check_types(patterns: Sequence[str]) -> None:
    """Refuse what can match no event.

    Raises:
        UsageError: a pattern is neither an event type, nor ``*``, nor ``<group>.*`` of a known group.
    """
    groups = {f"{name.split('.')[0]}.*" for name in EVENT_TYPES}
    for pattern in patterns:
        if pattern not in EVENT_TYPES and pattern not in groups and pattern != "*":
            names = ", ".join([*sorted(groups), *EVENT_TYPES])
            raise UsageError(f"there is no event type {pattern!r}; types: {names}")
    if not patterns:
        raise UsageError("an endpoint needs at least one event type, such as cohort.entered")


def check_filters(filters: Mapping[str, Any]) -> None:
    """Refuse comparisons that do not exist.

    Raises:
        UsageError: a comparison is unknown or its bound has the wrong type.
    """
    for field, wanted in filters.items():
        if not isinstance(wanted, Mapping):
            continue
        for name, bound in wanted.items():
            if name not in COMPARISONS:
                raise UsageError(f"filter on {field}: no comparison {name!r}; comparisons: {', '.join(COMPARISONS)}")
            if (name == "in") != isinstance(bound, list):
                raise UsageError(f"filter on {field}: {name} takes {'a list' if name == 'in' else 'one value'}")


def check_fields(patterns: Sequence[str], filters: Mapping[str, Any]) -> None:
    """Refuse a filter on a field that no wanted event has, since it would keep everything away in silence.

    Raises:
        UsageError: with the fields that there are.
    """
    wanted = [kind for kind in EVENT_TYPES.values() if any(_type_matches(each, kind.name) for each in patterns)]
    fields = {field.name for kind in wanted for field in kind.fields}
    for name in filters:
        if name not in fields:
            raise UsageError(f"filter on {name}: no such event has that field; fields: {', '.join(sorted(fields))}")


def parse_filter(text: str) -> tuple[str, Any]:
    """A filter as people type it: ``cohort_id=a,b``, ``cart_total_value_minor>=20000``, ``top_signal!=scarcity``.

    Raises:
        UsageError: it is none.
    """
    found = _TYPED.fullmatch(text)
    if found is None:
        raise UsageError(f"filter {text!r}: give FIELD, one of = != > >= < <=, and a value")
    name, operator, given = found["field"], found["operator"], found["value"].strip()
    if operator == "=":
        values = [_value(each.strip()) for each in given.split(",")]
        return name, values if len(values) > 1 else values[0]
    return name, {_OPERATORS[operator]: _value(given)}


def filters_of(texts: Sequence[str]) -> dict[str, Any]:
    """Several such filters, all of which must hold; comparisons of one field are joined.

    Raises:
        UsageError: one is no filter, or two of one field contradict in form.
    """
    found: dict[str, Any] = {}
    for name, wanted in map(parse_filter, texts):
        before = found.get(name)
        if before is not None and not (isinstance(before, dict) and isinstance(wanted, dict)):
            raise UsageError(f"filter on {name}: is given twice; join its values with a comma")
        found[name] = {**before, **wanted} if before else wanted
    return found


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool) else text


def matches(patterns: Sequence[str], filters: Mapping[str, Any], event_type: str, data: Mapping[str, Any]) -> bool:
    """Whether an event of a type with these data is wanted."""
    if not any(_type_matches(pattern, event_type) for pattern in patterns):
        return False
    return all(_holds(wanted, data.get(field)) for field, wanted in filters.items())


def of_type(filters: Mapping[str, Any], event_type: str) -> dict[str, Any]:
    """Those filters that are on a field of the type."""
    fields = {field.name for field in EVENT_TYPES[event_type].fields} if event_type in EVENT_TYPES else set()
    return {name: wanted for name, wanted in filters.items() if name in fields}


def _type_matches(pattern: str, event_type: str) -> bool:
    if pattern == "*":
        return event_type not in EVENT_TYPES or not EVENT_TYPES[event_type].operator
    return pattern == event_type or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))


def _holds(wanted: Any, value: Any) -> bool:
    if value is None:
        return False
    if isinstance(wanted, Mapping):
        return all(_compare(name, bound, value) for name, bound in wanted.items())
    return value in wanted if isinstance(wanted, list) else bool(value == wanted)


def _compare(name: str, bound: Any, value: Any) -> bool:
    if name == "in":
        return value in bound
    if name in ("eq", "ne"):
        return (value == bound) is (name == "eq")
    try:
        # Amounts are decimal text in the data, so that no reader rounds them; here they are numbers.
        left, right = Decimal(str(value)), Decimal(str(bound))
    except InvalidOperation:
        return False
    outcomes = {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}
    return outcomes[name]
