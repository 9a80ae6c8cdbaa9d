"""What the product signals carry from day to day, in memory and as files.

The running sums of the windows, the states of momentum and scarcity, and the last stock of each place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.signals import momentum, scarcity
from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import Signal
from pipelines.signals.chain import Chain
from pipelines.signals.demand import HISTORY_HOURS, NEVER, RECENT_HOURS, Hours, column
from pipelines.signals.units import HOUR

PARTS = ("products", "places", "snapshot", "clock")
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


def load(chain: Chain, day: date, windows: list[int]) -> State:
    """State at the end of a day that ``chain`` has."""
    return State(
        Products.of(chain.load(day, "products"), defaults(windows)),
        chain.load(day, "places"),
        chain.load(day, "snapshot"),
        chain.load(day, "clock")["data_since"].item(),
    )


def save(chain: Chain, day: date, state: State) -> None:
    """Keep the state at the end of a day."""
    chain.save(day, "products", state.products.frame())
    chain.save(day, "places", state.places)
    chain.save(day, "snapshot", state.snapshot)
    chain.save(day, "clock", pl.DataFrame({"data_since": [state.data_since]}, schema={"data_since": pl.Int64}))
