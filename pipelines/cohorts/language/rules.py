"""Cohort files: rules to any depth, what ends a membership, and how it is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PrivateAttr, Tag, model_validator

from pipelines.cohorts.language.bounds import Bound
from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.values import Value, Where
from pipelines.signals.catalogue import references
from pipelines.signals.definitions import Definition, Reference, Strict

COMPARISONS = ("at_least", "more_than", "at_most", "less_than", "equals")


class Compare(Strict):
    """A number against a bound; who is a member stays while it is not past ``leave_below`` or ``leave_above``."""

    value: Value
    at_least: Bound | None = None
    more_than: Bound | None = None
    at_most: Bound | None = None
    less_than: Bound | None = None
    equals: Reference | None = None
    leave_below: Bound | None = None
    leave_above: Bound | None = None

    @model_validator(mode="after")
    def _one_comparison(self) -> Compare:
        given = [name for name in COMPARISONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"compare with one of {', '.join(COMPARISONS)}, not with {' and '.join(given) or 'none'}")
        rising = given[0] in ("at_least", "more_than")
        wrong = self.leave_above if rising else self.leave_below
        if wrong is not None or (given[0] == "equals" and self.leave_above is not None):
            raise ValueError(f"{given[0]} is left {'below' if rising else 'above'} a bound; rename or remove the other")
        return self

    @property
    def comparison(self) -> str:
        """Name of the comparison that is given."""
        return next(name for name in COMPARISONS if getattr(self, name) is not None)

    @property
    def bound(self) -> Bound:
        """The bound of entry."""
        found: Bound = getattr(self, self.comparison)
        return found


class Member(Strict):
    """Member of another cohort at the same instant."""

    cohort: str


class Left(Strict):
    """Left another cohort because of something, no longer ago than a time."""

    left: str
    because_of: str
    within: Reference


class Without(Strict):
    """Nothing of some streams happens within a time after an event; true from then on, not before.

    Attributes:
        without: streams, none of whose events may happen.
        after: stream of the event.
        within: for how long.
        where: which events of ``after``.
    """

    without: tuple[str, ...] = Field(min_length=1)
    after: str
    within: Reference
    where: Where = Field(default_factory=dict)


class Step(Strict):
    """An event of a sequence."""

    event: tuple[str, ...] = Field(min_length=1)
    where: Where = Field(default_factory=dict)


class Then(Strict):
    """One event, and another no later than a time after it; true from the second on, per value of ``same``.

    Attributes:
        first: the first event; of several before the second the last one counts.
        then: the second event.
        within: longest time between them; any where absent.
        same: field of which both have the same value.
        unless: events between the two after which the first does not count.
        lasts: true until so long after the first event.
        lasts_after: true until so long after the second event.
        until: events that end it.
    """

    first: Step
    then: Step
    within: Reference | None = None
    same: str
    unless: tuple[Step, ...] = ()
    lasts: Reference | None = None
    lasts_after: Reference | None = None
    until: tuple[Step, ...] = ()


class Open(Strict):
    """Begun and not ended: an opt-out without opt-in, a flag that nobody closed."""

    open: str
    where: Where = Field(default_factory=dict)


class All(Strict):
    """Every part holds."""

    all: tuple[Rule, ...] = Field(min_length=1)


class AnyOf(Strict):
    """One part holds, or several."""

    any: tuple[Rule, ...] = Field(min_length=1)


class NoneOf(Strict):
    """No part holds."""

    none: tuple[Rule, ...] = Field(min_length=1)


_KEYS = ("value", "cohort", "left", "without", "first", "open", "property", "signal", "all", "any", "none")
_MODELS: dict[type, str] = {
    Compare: "value",
    Member: "cohort",
    Left: "left",
    Without: "without",
    Then: "first",
    Open: "open",
    CartValue: "property",
    CartSignal: "signal",
    All: "all",
    AnyOf: "any",
    NoneOf: "none",
}


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((key for key in _KEYS if key in value), None)
    return next((key for model, key in _MODELS.items() if isinstance(value, model)), None)


Rule = Annotated[
    Annotated[Compare, Tag("value")]
    | Annotated[Member, Tag("cohort")]
    | Annotated[Left, Tag("left")]
    | Annotated[Without, Tag("without")]
    | Annotated[Then, Tag("first")]
    | Annotated[Open, Tag("open")]
    | Annotated[CartValue, Tag("property")]
    | Annotated[CartSignal, Tag("signal")]
    | Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[NoneOf, Tag("none")],
    Discriminator(
        _kind,
        custom_error_type="unknown_rule",
        custom_error_message=f"is not a rule; write one of: {', '.join(_KEYS)}",
    ),
]

for _model in (All, AnyOf, NoneOf):
    _model.model_rebuild()


class Cohort(Definition):
    """``cohorts/<id>.yaml``.

    Attributes:
        evaluate: ``instant``: true from the very instant of the data on; ``day``: decided at the end of each tenant
            day, where a window of n days is the n tenant days that end with it.
        for_each: field of the streams; one cohort ``<id>:<value>`` for each value that occurs.
        until: events that end a membership that began by ``without``.
        ttl: longest membership after the event that ``without`` waits after, or after the entry.
        dwell: shortest membership; an exit before waits until then.
        cooldown: shortest time from an exit to an entry that counts.
        context: name -> value that rows and events show beside the membership.
        guard: not an audience but what keeps one from being addressed.
        _needs: versions of the cohorts and signals that the rule names, by id; a part of its own version.
    """

    subject: Literal["visitor", "customer"]
    rule: Rule
    evaluate: Literal["instant", "day"] = "instant"
    for_each: str | None = None
    until: tuple[str, ...] = ()
    ttl: Reference | None = None
    dwell: Reference | None = None
    cooldown: Reference | None = None
    context: dict[str, Value] = Field(default_factory=dict)
    guard: bool = False
    _needs: dict[str, str] = PrivateAttr(default_factory=dict)
    _version: tuple[object, str] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _parameters_exist(self) -> Cohort:
        for name in sorted(references(self.model_dump(exclude={"params", "description"}))):
            if name not in self.params:
                raise ValueError(f"${name} is not a parameter; add it to params")
        return self

    @property
    def definition_version(self) -> str:
        """First 12 hex digits of the sha256 of the canonical form; words and order do not count."""
        from pipelines.cohorts.language.canonical import definition_version

        return definition_version(self)

    @property
    def of_cart(self) -> bool:
        """Whether the rule is one about carts, which have an evaluation of their own."""
        return any(
            isinstance(leaf, CartValue | CartSignal) or (isinstance(leaf, Without) and leaf.after == "cart_activity")
            for leaf in leaves(self.rule)
        )


def leaves(rule: Rule) -> list[Any]:
    """Leaves of a rule from left to right."""
    if isinstance(rule, All | AnyOf | NoneOf):
        parts: tuple[Rule, ...] = getattr(rule, _MODELS[type(rule)])
        return [leaf for part in parts for leaf in leaves(part)]
    return [rule]


def named_cohorts(rule: Rule) -> set[str]:
    """Cohorts that a rule names."""
    found = leaves(rule)
    return {leaf.cohort for leaf in found if isinstance(leaf, Member)} | {
        leaf.left for leaf in found if isinstance(leaf, Left)
    }


def named_signals(cohort: Cohort) -> set[str]:
    """Signals whose states a cohort's rule or context asks for."""
    return set(_signals_in(cohort.model_dump(include={"rule", "context"})))


def _signals_in(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, part in data.items():
            if str(key).startswith("signal."):
                yield str(key).removeprefix("signal.")
            if key == "signal" and isinstance(part, str):
                yield part
            yield from _signals_in(part)
    elif isinstance(data, list | tuple):
        for part in data:
            yield from _signals_in(part)
