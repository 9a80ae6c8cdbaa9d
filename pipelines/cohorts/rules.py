"""The rule language: named primitives that a definition file combines. Only what can be computed has a model here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipelines.signals.catalogue import references
from pipelines.signals.definitions import Definition, Reference, Strict

Until = Literal["order", "cart_emptied"]


class Without(Strict):
    """An event does not happen within a time after another; true from that instant on."""

    event: Literal["order"]
    after: Literal["cart_activity"]
    within: Reference
    where: Literal["cart_open"]


class WithoutRule(Strict):
    """Absence."""

    without: Without


class Percentile(Strict):
    """Nearest-rank percentile over the partitions before."""

    percentile: Reference
    of: Literal["open_cart_values"]
    partitions: Reference


class GreatestValue(Strict):
    """The greater of a floor and a percentile."""

    greatest: tuple[Reference, Percentile]


class CohortLeaf(Strict):
    """Member of another cohort."""

    cohort: str


class PropertyLeaf(Strict):
    """A number is large enough; it is left below a share of the bound."""

    property: Literal["cart_total_value"]
    at_least: GreatestValue
    leave_below: Reference


class SignalLeaf(Strict):
    """A product of the cart is in one of the states at the entry instant; left when none was for a time."""

    signal: Literal["scarcity_state"]
    of: Literal["cart_products"]
    any_in: tuple[str, ...] = Field(min_length=1)
    leave_after: Reference


class AllRule(Strict):
    """Every part holds."""

    all: tuple[CohortLeaf, PropertyLeaf | SignalLeaf]


class Count(Strict):
    """So many events within a window."""

    event: Literal["order"]
    within: Reference
    at_least: Reference


class CountRule(Strict):
    """Frequency."""

    count: Count


class MedianGap(Strict):
    """A multiple of the subject's median time between events."""

    median_gap: Reference


class GreatestGap(Strict):
    """The greater of a floor and a multiple of the median gap."""

    greatest: tuple[Reference, MedianGap]


class Gap(Strict):
    """Time since the last event."""

    since: Literal["order"]
    at_least: GreatestGap


class GapRule(Strict):
    """Recency."""

    gap: Gap


class Cohort(Definition):
    """``cohorts/<id>.yaml``."""

    subject: Literal["visitor", "customer"]
    rule: WithoutRule | AllRule | CountRule | GapRule
    until: tuple[Until, ...] = ()
    ttl: Reference | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Cohort:
        for name in sorted(references(self.model_dump(exclude={"params", "description"}))):
            if name not in self.params:
                raise ValueError(f"${name} is not a parameter; add it to params")
        orders = isinstance(self.rule, CountRule | GapRule)
        if orders != (self.subject == "customer"):
            raise ValueError("subject: carts belong to a visitor, counts and gaps of orders to a customer")
        if isinstance(self.rule, WithoutRule) and not self.ttl:
            raise ValueError("ttl: a rule of absence needs one; add ttl: $ttl and the parameter")
        return self


def in_words(cohort: Cohort) -> str:
    """The rule as a sentence with the parameters as written."""

    def value(reference: str) -> str:
        return str(cohort.params[reference.removeprefix("$")].value)

    rule = cohort.rule
    if isinstance(rule, WithoutRule):
        ends = f"; ends after {value(cohort.ttl)}" if cohort.ttl else ""
        return f"an open cart and no order within {value(rule.without.within)} of its last activity{ends}"
    if isinstance(rule, CountRule):
        return f"at least {value(rule.count.at_least)} orders in {value(rule.count.within)}"
    if isinstance(rule, GapRule):
        floor, gap = rule.gap.at_least.greatest
        return f"no order for {value(floor)} or {value(gap.median_gap)} x the median gap, whichever is longer"
    parent, leaf = rule.all
    if isinstance(leaf, PropertyLeaf):
        floor, share = leaf.at_least.greatest
        days = f"{value(share.percentile)}th percentile of {value(share.partitions)} days"
        bound = f"{value(floor)} minor units and the {days}"
        return f"{parent.cohort} with a cart worth at least {bound}; leaves below {value(leaf.leave_below)}% of that"
    states = " or ".join(leaf.any_in)
    return f"{parent.cohort} with a product that is {states}; leaves when none was for {value(leaf.leave_after)}"
