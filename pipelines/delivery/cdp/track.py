"""What happened, in the words that every platform shares: a name, an identity, an instant and properties.

A retraction is told as the opposite event that names the one it supersedes, since no platform takes an event back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipelines.delivery.envelope import Event
from pipelines.delivery.instants import rfc3339

ENTERED, EXITED, CROSSED = "Flockr Cohort Entered", "Flockr Cohort Exited", "Flockr Signal Threshold Crossed"
SCHEMA_VERSION = "1.0"
#: Event type -> name, and whether it takes another event back.
NAMES: Mapping[str, tuple[str, bool]] = {
    "cohort.entered": (ENTERED, False),
    "cohort.exited": (EXITED, False),
    "cohort.entry_retracted": (EXITED, True),
    "cohort.exit_retracted": (ENTERED, True),
    "signal.threshold_crossed": (CROSSED, False),
    "signal.crossing_retracted": (CROSSED, True),
}
#: Fields of ``data`` that are told in another place, or concern nobody outside.
_ELSEWHERE = frozenset(
    {"cohort_id", "definition_version", "transition_id", "crossing_id", "flockr_vid", "external_id", "caused_by"}
)
_PRODUCT, _CUSTOMER = "product:", "customer:"
#: Whom product signals are told of, where a destination asks for them: they have no visitor.
_PRODUCT_VISITOR = "flockr:product:"
#: Of a crossing that is taken back the two sides of each pair are exchanged.
_SIDES = (("from_state", "to_state"), ("value_before", "value_after"))


@dataclass(frozen=True)
class Track:
    """One event for a platform.

    Attributes:
        message_id: id of the event, the same on every attempt and on the client's path.
        name: one of ``ENTERED``, ``EXITED``, ``CROSSED``.
        anonymous_id: ``flockr_vid``, or ``flockr:product:<id>``; None for a customer without a linked visitor.
        user_id: customer's ``external_id``, where linked.
        at: effective instant, microseconds.
        properties: scalars and lists of scalars; amounts as decimal numbers.
        trait: name and value of the membership as a trait; None for signals.
        is_product: it is about a product, and told only where that is asked for.
    """

    message_id: str
    name: str
    anonymous_id: str | None
    user_id: str | None
    at: int
    properties: Mapping[str, Any]
    trait: tuple[str, bool] | None = None
    is_product: bool = False

    @property
    def instant(self) -> str:
        """``at`` as RFC 3339 in UTC, with milliseconds where these are whole."""
        return rfc3339(self.at)


def tracked(event: Event, names: Mapping[str, str], evaluation_mode: str = "batch") -> Track | None:
    """An event of the outbox as platforms take it; None for one that they are not told of.

    Args:
        event: of any type.
        names: what people call a cohort, by its id.
        evaluation_mode: batch, or in_session for what ``murmur live`` found.
    """
    known = NAMES.get(event.type)
    if known is None:
        return None
    name, takes_back = known
    data = json.loads(event.data)
    anonymous = _anonymous(event.subject, data.get("flockr_vid"))
    described = _signal(data, takes_back) if name == CROSSED else _cohort(data, names, name, event.time)
    properties = {**described, "evaluation_mode": evaluation_mode, "schema_version": SCHEMA_VERSION}
    trait = (trait_name(data["cohort_id"]), name == ENTERED) if "cohort_id" in data else None
    return Track(
        event.event_id,
        name,
        anonymous,
        data.get("external_id"),
        event.time,
        properties,
        trait,
        event.subject.startswith(_PRODUCT),
    )


def _anonymous(subject: str, visitor: str | None) -> str | None:
    if subject.startswith(_PRODUCT):
        return _PRODUCT_VISITOR + subject.removeprefix(_PRODUCT)
    return visitor or (None if subject.startswith(_CUSTOMER) else subject)


def trait_name(cohort_id: str) -> str:
    """Trait of a membership; the parts of a family's id are told apart by ``_``, which every platform takes."""
    return f"flockr_{cohort_id}".replace(":", "_")


def _cohort(data: Mapping[str, Any], names: Mapping[str, str], name: str, at: int) -> dict[str, Any]:
    cohort = data["cohort_id"]
    instant = "entered_at" if name == ENTERED else "exited_at"
    found = {"cohort_id": cohort, "cohort_name": names.get(cohort.split(":", 1)[0], cohort), instant: rfc3339(at)}
    for key, value in data.items():
        if key in _ELSEWHERE or key.endswith("_minor") or value is None:
            continue
        if key == "currency":
            found["cart_currency" if "cart_total_value" in data else key] = value
        else:
            found[key] = _amount(value) if f"{key}_minor" in data else value
    return _in_order(found)


def _signal(data: Mapping[str, Any], takes_back: bool) -> dict[str, Any]:
    found = {key: value for key, value in data.items() if key not in _ELSEWHERE and value is not None}
    if takes_back:
        for one, other in _SIDES:
            kept = {one: found.pop(one, None), other: found.pop(other, None)}
            found |= {to: kept[of] for to, of in ((one, other), (other, one)) if kept[of] is not None}
    return found


def _amount(text: str) -> float:
    """A decimal text as the number that platforms take; it is shown and never summed here."""
    return float(Decimal(text))


def _in_order(found: dict[str, Any]) -> dict[str, Any]:
    """The amount with its currency first, the rest as it comes, so that every platform shows the same picture."""
    first = ("cohort_id", "cohort_name", "entered_at", "exited_at", "cart_total_value", "cart_currency")
    ordered = {key: found[key] for key in first if key in found}
    return ordered | {key: value for key, value in found.items() if key not in ordered}
