"""One day of product signals: from the state of the day before and the facts of the day to snapshots and crossings.

Stock steps at its measured instants, ``start <= t < end``. Windowed signals move at grid instants, ``start < t <=
end``, and scarcity once more at the end of the day with the sales of the day itself; what is
seen there is data before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.signals import demand, momentum, scarcity
from pipelines.signals.arrays import Ints
from pipelines.signals.catalogue import Momentum, Signal
from pipelines.signals.demand import NEVER, micros
from pipelines.signals.scarcity import Sales
from pipelines.signals.state import State
from pipelines.signals.units import HOUR

CROSSING = {
    "signal_id": pl.String,
    "subject": pl.String,
    "from_state": pl.String,
    "to_state": pl.String,
    "value_before": pl.Float64,
    "value_after": pl.Float64,
    "threshold": pl.Float64,
    "direction": pl.String,
    "effective_at": pl.Int64,
    "suppressed_by": pl.String,
}


@dataclass(frozen=True)
class Inputs:
    """Facts that a day needs, beside the hours that the state holds.

    Attributes:
        stock: ``stock_levels`` of the day.
        sales_before: ``product_daily`` of the 14 days before the day, with ``age``: 1 for the newest of them.
        sales_after: the same for the 14 days that end with the day.
        published: ``product_id``, ``first_published_at``.
        inside: which place lies inside which, from ``facts.places``.
    """

    stock: pl.DataFrame
    sales_before: pl.DataFrame
    sales_after: pl.DataFrame
    published: pl.DataFrame
    inside: pl.DataFrame


def first_seen(state: State, published: pl.DataFrame, day: Day) -> None:
    """Lower ``first_seen`` to the instant of publication where that is earlier and not in the future."""
    known = published.filter(pl.col("product_id").is_in(state.products.ids.implode()))
    known = known.filter(pl.col("first_published_at") < day.end).sort("product_id")
    index = state.products.index(known["product_id"])
    column = state.products["first_seen"]
    column[index] = np.minimum(column[index], known["first_published_at"].dt.epoch("us").to_numpy())
    if state.hours.views:
        state.data_since = min(state.data_since, min(state.hours.views) * HOUR)


def hourly(state: State, day: Day, windows: list[int], signal: Signal | None) -> pl.DataFrame:
    """Advance the running sums over the grid of the day, and momentum with them.

    Returns:
        Crossings of momentum (schema ``CROSSING``), empty without a definition.
    """
    found: list[pl.DataFrame] = []
    before = _ratio_values(state, signal, micros(day.start) // HOUR)
    for hour in demand.grid(day):
        demand.advance(state.products, state.hours, hour, windows)
        if signal is None or state.data_since == NEVER:
            continue
        moved = momentum.step(state.products, signal, hour, state.data_since)
        if moved.height:
            found.append(_momentum_rows(state, moved, signal, hour, before))
        before = _ratio_values(state, signal, hour)
    state.hours.forget(demand.grid(day)[-1] - max(windows) - 48)
    return pl.concat(found) if found else pl.DataFrame(schema=CROSSING)


def _ratio_values(state: State, signal: Signal | None, hour: int) -> tuple[Ints, Ints]:
    if signal is None or state.data_since == NEVER or not isinstance(signal.measure, Momentum):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    now = momentum.reading(state.products, hour, state.data_since, signal.param(signal.measure.history))
    return now.numerator, now.denominator


def _momentum_rows(
    state: State, moved: pl.DataFrame, signal: Signal, hour: int, before: tuple[Ints, Ints]
) -> pl.DataFrame:
    names = momentum.codes(signal)
    index = moved["index"].to_numpy()
    reach = index < len(before[0])
    top = np.where(reach, before[0][np.where(reach, index, 0)], 0) if len(before[0]) else np.zeros(len(index))
    base = np.where(reach, before[1][np.where(reach, index, 0)], 0) if len(before[1]) else np.zeros(len(index))
    origin = pl.when(pl.col("from_code") == momentum.UNDEFINED).then(0).otherwise(pl.col("from_code"))
    bounds = {
        pair: momentum.threshold(signal, *pair)
        for pair in moved.select(origin.alias("f"), "to_code").unique().iter_rows()
    }
    rows = moved.with_columns(origin.alias("origin"), top=pl.Series(top), base=pl.Series(base))
    limit = [bounds[pair] for pair in rows.select("origin", "to_code").iter_rows()]
    return rows.select(
        pl.lit(signal.id).alias("signal_id"),
        state.products.ids.gather(moved["index"]).alias("subject"),
        pl.col("from_code").replace_strict(names, default=None, return_dtype=pl.String).alias("from_state"),
        pl.col("to_code").replace_strict(names, return_dtype=pl.String).alias("to_state"),
        pl.when(pl.col("base") > 0).then(pl.col("top") / pl.col("base")).alias("value_before"),
        (pl.col("numerator") / pl.col("denominator")).alias("value_after"),
        pl.Series("threshold", limit, dtype=pl.Float64),
        pl.when(pl.col("to_code") > pl.col("origin")).then(pl.lit("up")).otherwise(pl.lit("down")).alias("direction"),
        pl.lit(hour * HOUR, dtype=pl.Int64).alias("effective_at"),
        pl.when("suppressed").then(pl.lit("cooldown")).alias("suppressed_by"),
    )


def stock(state: State, inputs: Inputs, day: Day, signal: Signal) -> tuple[pl.DataFrame, Sales]:
    """Step the stock through the day, then move once at its end with the newest sales.

    Returns:
        Crossings of scarcity (schema ``CROSSING``) and the sales at the end of the day.
    """
    products = state.products
    start, steps, state.places = scarcity.stock_steps(inputs.stock, state.places, inputs.inside)
    # Groups may have changed since the day before, so what was carried is added up again.
    carried = products.index(start["product_id"])
    products["available"][carried] = start["available"].to_numpy()
    products.index(steps["product_id"])
    products.index(pl.concat([inputs.sales_before["product_id"], inputs.sales_after["product_id"]]))
    sold_days = next((signal.param(level.sold_days) for level in signal.levels if level.sold_days), 0)
    rate = scarcity.sales(products, inputs.sales_before, sold_days)
    found = [_level_moves(state, rate, signal, part) for part in scarcity.rounds(steps)]
    final = scarcity.sales(products, inputs.sales_after, sold_days)
    measured = np.flatnonzero(products["scarcity"] != scarcity.UNMEASURED)
    same = np.zeros(len(measured), dtype=np.bool_)
    moved = scarcity.move(products, final, signal, measured, same)
    available = products["available"][moved["index"].to_numpy()]
    found.append(_level_rows(state, signal, moved, available, available, np.full(moved.height, micros(day.end))))
    return pl.concat(found), final


def _level_moves(state: State, rate: Sales, signal: Signal, part: pl.DataFrame) -> pl.DataFrame:
    index = state.products.index(part["product_id"])
    before = state.products["available"][index]
    after = before + part["change"].to_numpy()
    state.products["available"][index] = after
    moved = scarcity.move(state.products, rate, signal, index, (before <= 0) & (after > 0))
    place = {product: row for row, product in enumerate(index.tolist())}
    rows = np.array([place[product] for product in moved["index"].to_list()], dtype=np.int64)
    instants = part["measured_at"].dt.epoch("us").to_numpy()
    return _level_rows(state, signal, moved, before[rows], after[rows], instants[rows])


def _level_rows(
    state: State, signal: Signal, moved: pl.DataFrame, before: Ints, after: Ints, instants: Ints
) -> pl.DataFrame:
    names = dict(enumerate(scarcity.names(signal)))
    normal = len(signal.levels)
    origin = pl.when(pl.col("from_code") == scarcity.UNMEASURED).then(normal).otherwise(pl.col("from_code"))
    return moved.select(
        pl.lit(signal.id).alias("signal_id"),
        state.products.ids.gather(moved["index"]).alias("subject"),
        pl.col("from_code").replace_strict(names, default=None, return_dtype=pl.String).alias("from_state"),
        pl.col("to_code").replace_strict(names, return_dtype=pl.String).alias("to_state"),
        pl.when(pl.col("from_code") != scarcity.UNMEASURED).then(pl.Series(before / 1000)).alias("value_before"),
        pl.Series("value_after", after / 1000, dtype=pl.Float64),
        pl.lit(None, dtype=pl.Float64).alias("threshold"),
        pl.when(pl.col("to_code") > origin).then(pl.lit("up")).otherwise(pl.lit("down")).alias("direction"),
        pl.Series("effective_at", instants, dtype=pl.Int64),
        pl.lit(None, dtype=pl.String).alias("suppressed_by"),
    )
