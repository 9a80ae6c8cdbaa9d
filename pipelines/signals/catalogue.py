"""The model of a signal file and the catalogue of a tenant. How a measure is computed is in the modules it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipelines.config import Tenant
from pipelines.signals.definitions import Definition, Reference, Strict, load_all
from pipelines.signals.units import duration

SHIPPED = Path(__file__).parent / "catalogue"


def _duration(value: str) -> str:
    duration(value)
    return value


Window = Annotated[str, AfterValidator(_duration)]


class Count(Strict):
    """A count per window."""

    count: Literal["views"]
    windows: tuple[Window, ...] = Field(min_length=1)


class Rate(Strict):
    """A count per hour of the window."""

    rate: Literal["views"]
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


class Signal(Definition):
    """``signals/<id>.yaml``."""

    subject: Literal["product"]
    measure: Count | Rate | Momentum | Runway | Scarcity
    normal: str | None = None
    states: tuple[Bound, ...] = ()
    levels: tuple[Level, ...] = ()
    improve: Reference | None = None
    cooldown: Reference | None = None

    @model_validator(mode="after")
    def _parameters_exist(self) -> Signal:
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
        """Ids in ``signal_snapshots``: the id itself, or one per window."""
        return [f"{self.id}_{window}" for window in self.windows] or [self.id]


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
    """Every signal of a tenant by definition id, parameters resolved.

    Raises:
        UsageError: a file or an override is wrong.
    """
    cohorts = Path(__file__).parents[1] / "cohorts" / "catalogue"
    others = [file.stem for folder in (cohorts, tenant.folder / "cohorts") for file in folder.glob("*.yaml")]
    return load_all(tenant, Signal, SHIPPED, "signals", others)
