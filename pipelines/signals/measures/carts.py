"""Cart pressure and its surges on the grid, from spans in which visitors have a product in an active cart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from pipelines.facts.cart_presence import Carts, Changes, Spans, changes, fold
from pipelines.facts.cart_steps import steps
from pipelines.signals.arrays import Ints, Products
from pipelines.signals.catalogue import Pressure, Signal, Surge
from pipelines.signals.crossings import Crossings, whole
from pipelines.signals.machine import Moves, codes, fire
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import HOUR

#: Visitors at the last grid instant, and when a surge last counted.
DEFAULTS = {"cart_pressure": 0, "cart_surge_fired": -1}


def day_of_carts(
    before: Carts,
    rows: pl.DataFrame,
    orders: pl.DataFrame,
    products: Products,
    grid: list[int],
    end: int,
    signal: Signal,
) -> tuple[Changes, Carts]:
    """Changes of the pressure on the grid of a day (from nobody) by index of the product, and the carts at its end.

    Args:
        before: at the start.
        rows: ``inputs.cart_steps`` of the day.
        orders: orders of the day: ``visitor``, ``at``.
        products: gives the products of the day's steps an index.
        grid: hours.
        end: of the day.
        signal: cart pressure.
    """
    assert isinstance(signal.measure, Pressure)  # noqa: S101
    named = rows.filter(pl.col("product_id").is_not_null())
    products.index_by_key(named["product"].to_numpy(), named["product_id"])
    active, forget = signal.param(signal.measure.active), signal.param(signal.measure.forget)
    spans, after = fold(
        before, steps(rows), (orders["visitor"].to_numpy(), orders["at"].to_numpy()), end, active, forget
    )
    seen = np.maximum(spans.after // HOUR + 1, grid[0]) <= np.minimum(spans.until // HOUR, grid[-1])
    here = Spans(spans.visitor[seen], products.by_key(spans.product[seen]), spans.after[seen], spans.until[seen])
    return changes(here, grid[0], grid[-1], HOUR), after


def surges(products: Products, pressure: Ints, signal: Signal, hour: int, found: Crossings) -> None:
    """Fire where the pressure is large and has multiplied since the grid instant before."""
    assert isinstance(signal.measure, Surge)  # noqa: S101
    before = products["cart_pressure"]
    least, multiple = signal.param(signal.measure.at_least), signal.param(signal.measure.multiple)
    index = np.flatnonzero(pressure >= least)
    index = index[pressure[index] * 1000 >= multiple * before[index]]
    if not len(index):
        return
    cause = fire(products, "cart_surge", index, hour * HOUR, signal)
    none = np.zeros(len(index), dtype=np.int64)
    old = before[index]
    bound = (np.maximum(least * 1000, multiple * old), none + 1000)
    moves = Moves(index, none, none + 1, cause)
    up = np.ones(len(index), dtype=np.bool_)
    names = {1: codes(signal)[1]}
    found.add(signal.id, products.ids, moves, names, hour * HOUR, whole(old), whole(pressure[index]), up, bound)


def readings(products: Products, signal: Signal) -> Iterator[Reading]:
    """Pressure where there is any."""
    pressure = products["cart_pressure"]
    yield shown(signal.id, signal.definition_version, products.order, pressure > 0, pressure, 1)
