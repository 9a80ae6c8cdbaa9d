"""What a visitor signal's file may say under ``measure``. How each is computed is in ``pipelines.visitor_signals``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.signals.definitions import Reference, Strict


class Intent(Strict):
    """Views, adds and checkouts, each with a weight that halves with time; from 0 to ``cap``."""

    intent: Literal["acts"]
    view: Reference
    add: Reference
    checkout: Reference
    half_life: Reference
    cap: Reference


class Journey(Strict):
    """How far a visitor is since the last order, within a window of tenant days."""

    journey: Literal["acts"]
    window: Reference
    products: Reference
    forget: Reference


class Engagement(Strict):
    """(x + 1) / (mean + 1): x counts events of the day, the mean is per day of the baseline before it."""

    engagement: Literal["events"]
    baseline: Reference
    history: Reference


class OfCohort(Strict):
    """A value that a cohort shows in its context, for everybody who has one, member or not."""

    value_of: str
    context: str


class Vector(Strict):
    """The greatest values that a family of cohorts shows in its context, one row for each key."""

    vector_of: str
    context: str
    top: Reference


class Cells(Strict):
    """Fifths by the three numbers that a cohort compares with percentiles: recency, frequency, spend."""

    cells_of: str


class Due(Strict):
    """The last order plus the median time between orders; the value is the days since then."""

    due: Literal["order"]


class Strongest(Strict):
    """The strongest signal of the products in the visitor's open cart, by the order in which they are listed."""

    strongest: Literal["cart"]
    ranking: tuple[Literal["critical", "breakout", "cart_surge", "low", "rank", "rising"], ...] = Field(min_length=1)
    rank: Reference
    surge: Reference
    forget: Reference


VisitorMeasure = Intent | Journey | Engagement | OfCohort | Vector | Cells | Due | Strongest
