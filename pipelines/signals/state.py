"""What the product signals carry from day to day, in memory and as files.

Running sums of the windows, states and the last instants of events by product, the stock of every slot and place, open
carts. What is read again from facts when a run begins is in memory only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.carry import Trail
from pipelines.facts import cart_presence
from pipelines.facts.cart_presence import Carts
from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import (
    Composite,
    Count,
    Lifecycle,
    Momentum,
    Price,
    RankChange,
    Rate,
    Risk,
    Signal,
    Spike,
    Surge,
)
from pipelines.signals.demand import ACTS, NEEDED, NEVER, Hours, Windows, column
from pipelines.signals.demand import DEFAULTS as DEMAND
from pipelines.signals.machine import settle as settle_instants
from pipelines.signals.measures import carts, composite, lifecycle, momentum, price, rank, risk, scarcity, spike
from pipelines.signals.measures.stock import PLACES
from pipelines.signals.readings import Reading
from pipelines.signals.units import HOUR

Definitions = dict[str, Signal]


@dataclass
class State:
    """State at the end of a day.

    Attributes:
        products: one row a product.
        slots: stock of a product at a place, or over all places.
        places: last measurement of each place.
        carts: open carts.
        data_since: first hour with data in microseconds.
        hours: not stored; counts by hour.
        before: not stored; readings at the end of the day.
        rate: not stored; sales of the days up to its end.
    """

    products: Products
    slots: Products = field(default_factory=lambda: Products(scarcity.DEFAULTS))
    places: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PLACES))
    carts: Carts = field(default_factory=cart_presence.empty)
    data_since: int = NEVER
    hours: Hours = field(default_factory=Hours)
    before: list[Reading] | None = None
    rate: scarcity.Sales | None = None


def of(definitions: Definitions, measure: type) -> Signal | None:
    """The definition with a measure, when there is one."""
    return next((signal for signal in definitions.values() if isinstance(signal.measure, measure)), None)


def all_of(definitions: Definitions, *measures: type) -> list[Signal]:
    """The definitions with one of the measures."""
    return [signal for signal in definitions.values() if isinstance(signal.measure, measures)]


def windows(definitions: Definitions) -> Windows:
    """Windows in whole hours that need a running sum, by act, sorted."""
    found = {act: set(NEEDED[act]) for act in ACTS}
    for signal in definitions.values():
        measure = signal.measure
        acts = [measure.count] if isinstance(measure, Count) else measure.rate if isinstance(measure, Rate) else ()
        for act in acts:
            found[act] |= {width // HOUR for width in signal.windows.values() if width >= HOUR}
    return {act: tuple(sorted(widths)) for act, widths in found.items()}


def lags(definitions: Definitions) -> list[int]:
    """Hours back of which counts are read."""
    spiking = of(definitions, Spike)
    sums = {width for widths in windows(definitions).values() for width in widths}
    return sorted(sums | set(spike.lags(spiking) if spiking else ()))


def defaults(definitions: Definitions) -> dict[str, int]:
    """Columns of ``State.products`` with the value of an untouched product."""
    sums = {column(act, width): 0 for act, widths in windows(definitions).items() for width in widths}
    own = [DEMAND, momentum.DEFAULTS, carts.DEFAULTS, spike.DEFAULTS, risk.DEFAULTS, lifecycle.DEFAULTS]
    own += [composite.DEFAULTS, price.DEFAULTS, rank.defaults(list(definitions.values()))]
    return sums | {name: value for each in own for name, value in each.items()} | {"category": -1}


def empty(definitions: Definitions) -> State:
    """The state before any data."""
    return State(Products(defaults(definitions)))


def load(trail: Trail, day: date, definitions: Definitions) -> State:
    """State at the end of a day that a turn of ``trail`` names."""
    return State(
        Products.of(trail.load(day, "products"), defaults(definitions)),
        Products.of(trail.load(day, "slots"), scarcity.DEFAULTS),
        trail.load(day, "places"),
        Carts(trail.load(day, "carts"), trail.load(day, "items")),
        trail.load(day, "clock")["data_since"].item(),
    )


def parts(state: State) -> dict[str, pl.DataFrame]:
    """The state as frames, the stored form."""
    clock = pl.DataFrame({"data_since": [state.data_since]}, schema={"data_since": pl.Int64})
    return {
        "products": state.products.frame(),
        "slots": state.slots.frame(),
        "places": state.places,
        "carts": state.carts.carts,
        "items": state.carts.items,
        "clock": clock,
    }


def settle(state: State, definitions: Definitions, hour: int) -> None:
    """Forget what no later instant can tell apart, so that states from which the same follows are equal.

    Args:
        state: at the end of a day.
        definitions: whose columns are settled.
        hour: the last grid instant of the day in hours since the epoch.
    """
    now = hour * HOUR
    oldest = now - _memory(definitions)
    first_seen = state.products["first_seen"]
    first_seen[:] = first_seen.clip(min=oldest)
    state.data_since = max(state.data_since, oldest)
    for signal in definitions.values():
        silence = max(signal.silence())
        for name in _instants(signal):
            settle_instants(state.products, name, now, silence)
        if isinstance(signal.measure, Lifecycle):
            lifecycle.settle(state.products, signal, now)
        if isinstance(signal.measure, Price):
            price.settle(state.products, signal, now)


def _memory(definitions: Definitions) -> int:
    """Microseconds for which the first instant of a product or of the data matters."""
    moving, living, spiking = (of(definitions, measure) for measure in (Momentum, Lifecycle, Spike))
    found = [HOUR]
    if moving and isinstance(moving.measure, Momentum):
        days = max(moving.param(moving.measure.history), momentum.BASELINE_DAYS)
        found.append((momentum.DAY_HOURS + momentum.DAY_HOURS * days) * HOUR)
    if living and isinstance(living.measure, Lifecycle):
        found += [living.param(each) + HOUR for each in (living.measure.newness, living.measure.launch)]
    if spiking:
        found.append((max(spike.lags(spiking)) + 1) * HOUR)
    return max(found)


def _instants(signal: Signal) -> Sequence[str]:
    """Columns of instants that only the signal's silence reads."""
    for kind, module in ((Momentum, momentum), (Lifecycle, lifecycle), (Risk, risk), (Composite, composite)):
        if isinstance(signal.measure, kind):
            return [f"{module.PREFIX}_changed"]
    events = {Surge: "cart_surge", Spike: "demand_spike", RankChange: signal.id}
    return [f"{prefix}_fired" for kind, prefix in events.items() if isinstance(signal.measure, kind)]
