"""What the product signals carry from day to day, in memory and as files.

The running sums of the windows, the states of momentum and scarcity, and the last stock of each place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipelines.carry import Trail
from pipelines.signals import momentum, scarcity
from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import Momentum, Signal
from pipelines.signals.demand import HISTORY_HOURS, NEVER, RECENT_HOURS, Hours, column
from pipelines.signals.units import HOUR

PREVIOUS = {"signal_id": pl.String, "subject": pl.String, "value": pl.Float64, "state": pl.String}


@dataclass
class State:
    """State at the end of a day.

    Attributes:
        products: one row a product.
        places: last measurement of each place.
        snapshot: values and states of the day, for ``value_prev``.
        data_since: first hour with data in microseconds.
        hours: not stored; read again from the facts.
    """

    products: Products
    places: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=scarcity.PLACES))
    snapshot: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PREVIOUS))
    data_since: int = NEVER
    hours: Hours = field(default_factory=Hours)


def window_hours(signals: dict[str, Signal]) -> list[int]:
    """Windows in whole hours that need a running sum, sorted."""
    named = {width // HOUR for signal in signals.values() for width in signal.windows.values() if width >= HOUR}
    return sorted({*named, RECENT_HOURS, HISTORY_HOURS})


def defaults(windows: list[int]) -> dict[str, int]:
    """Columns of ``Products`` with the value of an untouched product."""
    sums = {column(window): 0 for window in windows}
    return {"first_seen": NEVER, **sums, **momentum.DEFAULTS, **scarcity.DEFAULTS}


def load(trail: Trail, day: date, windows: list[int]) -> State:
    """State at the end of a day that a turn of ``trail`` names."""
    return State(
        Products.of(trail.load(day, "products"), defaults(windows)),
        trail.load(day, "places"),
        trail.load(day, "snapshot"),
        trail.load(day, "clock")["data_since"].item(),
    )


def parts(state: State) -> dict[str, pl.DataFrame]:
    """The state as frames, the stored form."""
    clock = pl.DataFrame({"data_since": [state.data_since]}, schema={"data_since": pl.Int64})
    return {
        "products": state.products.frame(),
        "places": state.places,
        "snapshot": state.snapshot,
        "clock": clock,
    }


def settle(state: State, signal: Signal | None, hour: int) -> None:
    """Forget what no later instant can tell apart, so that states from which the same follows are equal.

    Args:
        state: at the end of a day.
        signal: momentum.
        hour: the end of the day in hours since the epoch.
    """
    measure = signal.measure if signal else None
    history = signal.param(measure.history) if signal and isinstance(measure, Momentum) else 0
    oldest = (hour - momentum.DAY_HOURS - momentum.DAY_HOURS * max(history, momentum.BASELINE_DAYS)) * HOUR
    first_seen = state.products["first_seen"]
    np.maximum(first_seen, oldest, out=first_seen)
    state.data_since = max(state.data_since, oldest)
    cooldown = signal.param(signal.cooldown) if signal and signal.cooldown else 0
    changed = state.products["momentum_changed"]
    changed[hour * HOUR - changed >= cooldown] = -1
