"""Numbers about a subject that rules compare: counts, sums, distincts, extrema, recency, gaps, and arithmetic of them.

A number is a fraction of two whole numbers, so that every comparison is exact. Streams and their fields are in
``vocabulary``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pipelines.signals.definitions import Reference, Strict

Scalar = str | bool


class AnyIn(Strict):
    """The field is one of these."""

    any_in: tuple[str, ...] = Field(min_length=1)


class AtLeast(Strict):
    """The field is a number that is large enough."""

    at_least: Reference


class AtMost(Strict):
    """The field is a number that is small enough."""

    at_most: Reference


Condition = Scalar | AnyIn | AtLeast | AtMost
Where = dict[str, Condition]


class Events(Strict):
    """Events of one or several streams that satisfy every condition, within a window that ends now.

    Attributes:
        where: field -> condition; all must hold.
        within: how far back; the whole past where absent.
        over_all: in a family, events of every key and not of the cohort's own alone.
    """

    where: Where = Field(default_factory=dict)
    within: Reference | None = None
    over_all: bool = False


class Count(Events):
    """How many events."""

    count: str


class Sum(Events):
    """Sum of a whole-number field."""

    sum: str
    of: str


class Distinct(Events):
    """How many different values a field has."""

    distinct: str
    of: str


class Extreme(Events):
    """Least or greatest value of a whole-number field, or the mean as a fraction; of nothing there is none."""

    min: str | None = None
    max: str | None = None
    avg: str | None = None
    of: str


class Instant(Events):
    """The instant of the first or the last event, in microseconds; of nothing there is none."""

    first: str | None = None
    last: str | None = None


class Since(Strict):
    """Time since the last event, or since the first one."""

    since: str | None = None
    since_first: str | None = None
    where: Where = Field(default_factory=dict)


class MedianGap(Strict):
    """Median time between a subject's events; ``otherwise`` replaces it where there are too few of them.

    Attributes:
        median_gap: the stream.
        fewer_than: with fewer events than this the median is that of the subject's category.
    """

    median_gap: str
    fewer_than: Reference | None = None
    otherwise: Literal["category"] | None = None


class Add(Strict):
    """A sum of numbers and parameters."""

    add: tuple[Term, ...] = Field(min_length=2)


class Times(Strict):
    """A product of numbers and parameters."""

    times: tuple[Term, ...] = Field(min_length=2)


class Over(Strict):
    """One number divided by another; there is none where the divisor is zero."""

    over: tuple[Term, Term]


class Share(Strict):
    """One number as a share of another, in percent; there is none where the other is zero."""

    share: Value
    to: Value


_KEYS = (
    ("count", "count"),
    ("sum", "sum"),
    ("distinct", "distinct"),
    ("min", "extreme"),
    ("max", "extreme"),
    ("avg", "extreme"),
    ("first", "instant"),
    ("last", "instant"),
    ("since", "since"),
    ("since_first", "since"),
    ("median_gap", "median_gap"),
    ("add", "add"),
    ("times", "times"),
    ("over", "over"),
    ("share", "share"),
)
_MODELS: dict[type, str] = {
    Count: "count",
    Sum: "sum",
    Distinct: "distinct",
    Extreme: "extreme",
    Instant: "instant",
    Since: "since",
    MedianGap: "median_gap",
    Add: "add",
    Times: "times",
    Over: "over",
    Share: "share",
}


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((tag for key, tag in _KEYS if key in value), None)
    return next((tag for model, tag in _MODELS.items() if isinstance(value, model)), None)


Value = Annotated[
    Annotated[Count, Tag("count")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[Distinct, Tag("distinct")]
    | Annotated[Extreme, Tag("extreme")]
    | Annotated[Instant, Tag("instant")]
    | Annotated[Since, Tag("since")]
    | Annotated[MedianGap, Tag("median_gap")]
    | Annotated[Add, Tag("add")]
    | Annotated[Times, Tag("times")]
    | Annotated[Over, Tag("over")]
    | Annotated[Share, Tag("share")],
    Discriminator(
        _kind,
        custom_error_type="unknown_value",
        custom_error_message="is not a value; write one of: "
        "count, sum, distinct, min, max, avg, first, last, since, since_first, median_gap, add, times, over, share",
    ),
]
Term = Reference | Value

for _model in (Add, Times, Over, Share):
    _model.model_rebuild()
