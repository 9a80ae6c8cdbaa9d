"""The model of a signal file and the catalogue of a tenant. How a measure is computed is in the modules it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipelines.config import Tenant
from pipelines.signals.definitions import Definition, Reference, Strict, load_all
from pipelines.signals.units import duration
from pipelines.signals.visitor_measures import VisitorMeasure

SHIPPED = Path(__file__).parent / "catalogue"


def _duration(value: str) -> str:
    duration(value)
    return value


Window = Annotated[str, AfterValidator(_duration)]
Act = Literal["views", "add_to_bags", "purchases"]
Family = Literal[
    "popularity",
    "purchase",
    "trending",
    "scarcity",
    "cart_pressure",
    "rank",
    "newness",
    "restock",
    "price",
    "demand",
    "intent",
    "affinity",
    "loyalty",
    "returns",
]


class Count(Strict):
    """A count per window, and the distinct visitors behind it where ``visitors``."""

    count: Act
    windows: tuple[Window, ...] = Field(min_length=1)
    visitors: bool = False


class Rate(Strict):
    """Counts per hour of the window."""

    rate: tuple[Act, ...] = Field(min_length=1)
    windows: tuple[Window, ...] = Field(min_length=1)


class Momentum(Strict):
    """(x + 1) / (mean + 1): x counts the recent window, the mean is per day of the baseline before it."""

    momentum: Literal["views"]
    recent: Literal["24h"]
    baseline: Literal["28d"]
    history: Reference


class Runway(Strict):
    """Available stock over the net units sold per in-stock day."""

    runway: Literal["available"]
    sales_over: Literal["14d"]


class Scarcity(Strict):
    """A level by quantity and runway."""

    scarcity: Literal["available"]
    sales_over: Literal["14d"]


class Risk(Strict):
    """Scarce, wanted, and gone before more comes."""

    risk: Literal["scarcity_state"]
    scarce: tuple[str, ...] = Field(min_length=1)
    purchases: Reference
    adds: Reference
    carts: Reference
    inbound: Reference


class Score(Strict):
    """100 x (1 - min(runway, horizon) / horizon) x clamp(momentum, least, most) / most."""

    score: Literal["scarcity_risk"]
    horizon: Reference
    least: Reference
    most: Reference


class Pressure(Strict):
    """Visitors with the product in an open cart whose last activity is recent."""

    pressure: Literal["carts"]
    active: Reference
    forget: Reference


class Surge(Strict):
    """Pressure now against the grid instant before."""

    surge: Literal["cart_pressure"]
    at_least: Reference
    multiple: Reference


class Spike(Strict):
    """The last hour against the median of the same UTC hour of the weeks before."""

    spike: tuple[Act, ...] = Field(min_length=1)
    multiple: Reference
    z: Reference
    weeks: Reference
    history: Reference


class Lifecycle(Strict):
    """Stages of a product's life; each names the stages that it may follow."""

    lifecycle: Literal["first_seen"]
    launch: Reference
    discovery_views: Reference
    discovery_adds: Reference
    newness: Reference
    trend_purchases: Reference
    trending: tuple[str, ...]
    decline: Reference
    established_days: Reference
    follows: dict[str, tuple[str, ...]]


class Rank(Strict):
    """Dense rank of a count inside the category, and the moves of that rank."""

    rank: Act
    window: Literal["7d"]
    fewest: Reference


class RankChange(Strict):
    """Moves of a rank: into or out of the top, or by many places."""

    rank_change: str
    top: Reference
    places: Reference


class StockMove(Strict):
    """An event of the stock: from zero up, or from a calm level into a scarce one."""

    stock: Literal["restock", "alert"]
    calm: tuple[str, ...] = ()
    scarce: tuple[str, ...] = ()


class Price(Strict):
    """The effective price against the lowest one of the time before it began."""

    price: Literal["price_minor"]
    lookback: Reference
    drop_enter: Reference
    drop_exit: Reference


class Composite(Strict):
    """The first state whose condition holds."""

    composite: Literal["demand"]
    constrained: Literal["scarcity_risk"]
    hot: tuple[str, ...]
    rank: Reference
    heating: tuple[str, ...]
    steady: tuple[str, ...]
    cooling: tuple[str, ...]
    quiet: Literal["7d"]


class Bound(Strict):
    """A state of a number, entered at one bound and left at another."""

    state: str
    at_least: Reference | None = None
    until_below: Reference | None = None
    below: Reference | None = None
    until_at_least: Reference | None = None
    count: Reference | None = None
    z: Reference | None = None


class Level(Strict):
    """A level of scarcity; it holds when the quantity or the runway is at most its bound."""

    state: str
    quantity: Reference | Literal[0] | None = None
    runway: Reference | None = None
    sold_days: Reference | None = None


Measure = (
    Count
    | Rate
    | Momentum
    | Runway
    | Scarcity
    | Risk
    | Score
    | Pressure
    | Surge
    | Spike
    | Lifecycle
    | Rank
    | RankChange
    | StockMove
    | Price
    | Composite
    | VisitorMeasure
)


class Signal(Definition):
    """``signals/<id>.yaml``."""

    family: Family
    measure: Measure
    normal: str | None = None
    states: tuple[Bound, ...] = ()
    levels: tuple[Level, ...] = ()
    improve: Reference | None = None
    cooldown: Reference | None = None
    dwell: Reference | None = None
    qualifies: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _parameters_exist(self) -> Signal:
        if isinstance(self.measure, VisitorMeasure) == (self.subject == "product"):
            raise ValueError(
                f"subject: a {self.subject} has no {next(iter(self.measure.model_dump()))!r}; change either"
            )
        for name in sorted(references(self.model_dump(exclude={"params", "description"}))):
            if name not in self.params:
                raise ValueError(f"${name} is not a parameter; add it to params")
        return self

    @property
    def windows(self) -> dict[str, int]:
        """Microseconds by written window, for counts and rates; empty for the others."""
        if isinstance(self.measure, Count | Rate):
            return {window: duration(window) for window in self.measure.windows}
        return {}

    @property
    def signal_ids(self) -> list[str]:
        """Ids in ``signal_snapshots`` and ``signal_crossings``: the id itself, or one per window."""
        if isinstance(self.measure, Count):
            kinds = [self.id, f"{self.id}_visitors"] if self.measure.visitors else [self.id]
            return [f"{kind}_{window}" for kind in kinds for window in self.windows]
        if isinstance(self.measure, Rate):
            return [f"{self.id}_{act}_{window}" for act in self.measure.rate for window in self.windows]
        return [self.id]

    @property
    def is_event(self) -> bool:
        """Whether it has crossings only, and no value at the end of a day."""
        return isinstance(self.measure, Surge | Spike | RankChange | StockMove)

    def silence(self) -> tuple[int, int]:
        """Cooldown and dwell in microseconds, 0 where there is none."""
        return (
            self.param(self.cooldown) if self.cooldown else 0,
            self.param(self.dwell) if self.dwell else 0,
        )


def references(value: object) -> set[str]:
    """Names of all ``$parameters`` inside plain data."""
    if isinstance(value, str):
        return {value[1:]} if value.startswith("$") else set()
    if isinstance(value, dict):
        return set().union(*[references(item) for item in value.values()])
    if isinstance(value, list | tuple):
        return set().union(*[references(item) for item in value])
    return set()


def shipped_ids() -> list[str]:
    """Ids of the catalogue, sorted."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def signals(tenant: Tenant) -> dict[str, Signal]:
    """Every product signal of a tenant by definition id, parameters resolved.

    Raises:
        UsageError: a file or an override is wrong.
    """
    return {key: signal for key, signal in every_signal(tenant).items() if signal.subject == "product"}


def every_signal(tenant: Tenant) -> dict[str, Signal]:
    """Every signal of a tenant, of products, visitors and customers.

    Raises:
        UsageError: a file or an override is wrong.
    """
    cohorts = Path(__file__).parents[1] / "cohorts" / "catalogue"
    others = [file.stem for folder in (cohorts, tenant.folder / "cohorts") for file in folder.glob("*.yaml")]
    return load_all(tenant, Signal, SHIPPED, "signals", others)
