"""Scarcity risk on the grid: scarce, wanted, and gone before more comes; and the score that ranks what is at risk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.facts.places import PLACE
from pipelines.signals.arrays import Flags, Ints, Part, Products, Table
from pipelines.signals.catalogue import Risk, Score, Signal
from pipelines.signals.demand import column
from pipelines.signals.machine import UNDEFINED, Moves, among, columns, move
from pipelines.signals.measures.momentum import Level
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import DAY, HOUR

PREFIX = "risk"
SECOND = 1_000_000
#: The state; and the score at the last grid instant as a ratio, 0/0 for none.
DEFAULTS = {**columns(PREFIX), "score_top": 0, "score_bottom": 0}
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Supply:
    """Stock of all places together by product, as seen at a grid instant.

    Attributes:
        available: thousandths.
        level: code of the level, ``UNMEASURED`` before any measurement.
        units: net units sold on in-stock days.
        days: how many those are.
    """

    available: Ints
    level: Ints
    units: Ints
    days: Ints


@dataclass
class Inbound:
    """Announced deliveries: the newest measurement of each place says when the next one comes.

    Attributes:
        product: index by place.
        now: instant by place, -1 for none, as seen at the last grid instant.
        place: places of the day's measurements, in the order of instants.
        at: their instants.
        then: what they say.
    """

    product: Ints
    now: Ints
    place: Ints
    at: Ints
    then: Ints
    _done: int = field(default=0)

    @classmethod
    def of(cls, before: pl.DataFrame, measured: pl.DataFrame, products: Products) -> Inbound:
        """Of the ``PLACES`` when a day begins and the measurements of the day."""
        day = measured.sort("measured_at", "external_id").select(
            *PLACE, pl.col("inbound_at").dt.epoch("us"), pl.col("measured_at").dt.epoch("us").alias("at")
        )
        both = pl.concat([before.select(*PLACE, "inbound_at", pl.lit(-1, dtype=pl.Int64).alias("at")), day])
        number = both.select(pl.struct(PLACE).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
        product = np.zeros(int(number.max(initial=-1)) + 1, dtype=np.int64)
        product[number] = products.index(both["product_id"])
        then = both["inbound_at"].fill_null(-1).to_numpy()
        now = np.full(len(product), -1, dtype=np.int64)
        start = before.height
        now[number[:start]] = then[:start]
        return cls(product, now, number[start:], both["at"].to_numpy()[start:], then[start:])

    def soonest(self, instant: int, wanted: Ints, height: int) -> Ints:
        """Next delivery after an instant for some products, ``_FAR`` where none is known by then."""
        until = int(np.searchsorted(self.at, instant, side="left"))
        self.now[self.place[self._done : until]] = self.then[self._done : until]
        self._done = until
        best = np.full(height, _FAR, dtype=np.int64)
        ahead = np.flatnonzero(self.now > instant)
        np.minimum.at(best, self.product[ahead], self.now[ahead])
        return best[wanted]


def step(
    products: Products, signal: Signal, hour: int, supply: Supply, names: dict[int, str], inbound: Inbound
) -> Moves:
    """Move the flag to a grid instant; ``names`` are those of the levels."""
    measure = signal.measure
    assert isinstance(measure, Risk)  # noqa: S101
    scarce = among(supply.level, [code for code, name in names.items() if name in measure.scarce])
    index = np.flatnonzero(scarce & (supply.units > 0))
    wanted = (
        (products[column("purchases", 24)][index] >= signal.param(measure.purchases))
        | (products[column("add_to_bags", 24)][index] >= signal.param(measure.adds))
        | (products["cart_pressure"][index] >= signal.param(measure.carts))
    )
    index = index[wanted]
    now = hour * HOUR
    soonest = inbound.soonest(now, index, products.height)
    wait = np.where(soonest == _FAR, signal.param(measure.inbound) * DAY, soonest - now) // SECOND
    stock, days, units = supply.available[index], supply.days[index], supply.units[index]
    gone = np.zeros(products.height, dtype=np.bool_)
    gone[index[np.maximum(stock, 0) * days * (DAY // SECOND) < wait * units]] = True
    state, _, held = (products[name] for name in columns(PREFIX))
    defined = supply.level >= 0
    some = Part(products, np.flatnonzero(gone | (state == 1) | (defined & (state == UNDEFINED)) | (held != UNDEFINED)))
    moves = move(some, PREFIX, gone[some.index].astype(np.int64), defined[some.index], now, signal).of(some.index)
    some.put(columns(PREFIX))
    return moves


def score(products: Products, signal: Signal, supply: Supply, now: Level) -> None:
    """Put the score of the products at risk into their columns.

    Momentum counts as 1 where it is not defined yet.
    """
    measure = signal.measure
    assert isinstance(measure, Score)  # noqa: S101
    horizon, least, most = (signal.param(each) for each in (measure.horizon, measure.least, measure.most))
    top, bottom = products["score_top"], products["score_bottom"]
    top[:], bottom[:] = 0, 0
    index = np.flatnonzero((products[f"{PREFIX}_state"] == 1) & (supply.units > 0))
    whole = horizon * supply.units[index]
    left = whole - np.minimum(np.maximum(supply.available[index], 0) * supply.days[index], whole)
    over, under = now.numerator[index], now.denominator[index]
    over, under = np.where(under > 0, over, 1), np.where(under > 0, under, 1)
    low, high = over * 1000 < least * under, over * 1000 > most * under
    over = np.where(low, least, np.where(high, most, over * 1000))
    under = np.where(low | high, 1, under)
    a, b = _lowest(left, whole)
    c, d = _lowest(over, under * most)
    a, d = _lowest(a, d)
    c, b = _lowest(c, b)
    top[index], bottom[index] = 100 * a * c, b * d


def _lowest(top: Ints, bottom: Ints) -> tuple[Ints, Ints]:
    divisor = np.maximum(np.gcd(top, bottom), 1)
    return top // divisor, bottom // divisor


def runway(supply: Supply, index: Ints) -> tuple[Ints, Ints]:
    """Days that the stock lasts, as a ratio."""
    return supply.available[index] * supply.days[index], np.maximum(supply.units[index], 0)


def readings(products: Products, signals: list[Signal]) -> Iterator[Reading]:
    """The flag where it is or was up; the score of what is at risk."""
    for signal in signals:
        version = signal.definition_version
        if isinstance(signal.measure, Risk):
            state = products[f"{PREFIX}_state"]
            names = {0: signal.normal or "none", 1: signal.states[0].state}
            yield shown(signal.id, version, products.order, state == 1, state, 1, state, names)
        elif isinstance(signal.measure, Score):
            top, bottom = products["score_top"], products["score_bottom"]
            yield shown(signal.id, version, products.order, bottom > 0, top, bottom)


def at_risk(products: Table) -> Flags:
    """Whether each product is at risk."""
    flags: Flags = products[f"{PREFIX}_state"] == 1
    return flags
