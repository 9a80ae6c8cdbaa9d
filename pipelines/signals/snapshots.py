"""Snapshots at the end of a day: one row per signal and product that has something to say.

Counts only where they are not zero; momentum where it is defined and something was viewed; stock where it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from pipelines.signals import demand, momentum, scarcity
from pipelines.signals.arrays import Ints
from pipelines.signals.catalogue import Count, Momentum, Rate, Runway, Signal
from pipelines.signals.catalogue import Scarcity as ScarcityMeasure
from pipelines.signals.scarcity import Sales
from pipelines.signals.state import PREVIOUS, State
from pipelines.signals.units import HOUR


def snapshot(state: State, signals: dict[str, Signal], hour: int, sales: Sales | None) -> pl.DataFrame:
    """Rows of ``signal_snapshots`` without the date.

    Args:
        state: at the end of the day; its ``snapshot`` is still that of the day before.
        signals: definitions.
        hour: the last grid instant of the day, in hours since the epoch.
        sales: sales of the 14 days that end with the day; None without a scarcity signal.

    Returns:
        ``signal_id``, ``subject_type``, ``subject``, ``value``, ``state``, ``value_prev``, ``state_prev``,
        ``inputs_hash``, ``definition_version``, sorted by signal and subject.
    """
    parts = [part for signal in signals.values() for part in _rows(state, signal, hour, sales)]
    schema = {**PREVIOUS, "inputs": pl.String, "definition_version": pl.String}
    rows = pl.concat([pl.DataFrame(schema=schema), *[part.select(list(schema)) for part in parts]])
    previous = state.snapshot.rename({"value": "value_prev", "state": "state_prev"})
    inputs_hash = pl.concat_str("signal_id", "subject", "inputs", separator="\x1f").nchash.xxh3_64()  # type: ignore[attr-defined]
    return (
        rows.join(previous, on=["signal_id", "subject"], how="left")
        .with_columns(inputs_hash.cast(pl.String).alias("inputs_hash"), pl.lit("product").alias("subject_type"))
        .drop("inputs")
        .sort("signal_id", "subject")
    )


def _rows(state: State, signal: Signal, hour: int, sales: Sales | None) -> Iterator[pl.DataFrame]:
    if isinstance(signal.measure, Count | Rate):
        for name, width in signal.windows.items():
            counts = demand.window_counts(state.products, state.hours, hour, width)
            some = np.flatnonzero(counts)
            bottom = width if isinstance(signal.measure, Rate) else HOUR
            yield _ratio_rows(
                state, signal, f"{signal.id}_{name}", some, counts[some] * HOUR, np.full(len(some), bottom)
            )
    elif isinstance(signal.measure, Momentum):
        yield _momentum(state, signal, hour)
    elif sales is not None:
        measured = np.flatnonzero(state.products["scarcity"] != scarcity.UNMEASURED)
        yield _stock(state, signal, measured, sales)


def _ratio_rows(
    state: State, signal: Signal, signal_id: str, index: Ints, top: Ints, bottom: Ints, states: pl.Series | None = None
) -> pl.DataFrame:
    frame = pl.DataFrame({"top": top, "bottom": bottom}, schema={"top": pl.Int64, "bottom": pl.Int64})
    return frame.select(
        pl.lit(signal_id).alias("signal_id"),
        state.products.ids.gather(index).alias("subject"),
        pl.when(pl.col("bottom") > 0).then(pl.col("top") / pl.col("bottom")).alias("value"),
        (pl.lit(None, dtype=pl.String) if states is None else states).alias("state"),
        pl.concat_str("top", "bottom", separator="/").alias("inputs"),
        pl.lit(signal.definition_version).alias("definition_version"),
    )


def _momentum(state: State, signal: Signal, hour: int) -> pl.DataFrame:
    assert isinstance(signal.measure, Momentum)  # noqa: S101
    now = momentum.reading(state.products, hour, state.data_since, signal.param(signal.measure.history))
    code = state.products["momentum_state"]
    silent = (now.count == 0) & (now.excess == 0) & (code == 0)
    index = np.flatnonzero(now.defined & ~silent)
    names = momentum.codes(signal)
    states = pl.Series(code[index]).replace_strict(names, default=None, return_dtype=pl.String)
    return _ratio_rows(state, signal, signal.id, index, now.numerator[index], now.denominator[index], states)


def _stock(state: State, signal: Signal, measured: Ints, sales: Sales) -> pl.DataFrame:
    available = state.products["available"][measured]
    if isinstance(signal.measure, Runway):
        units = sales.units[measured]
        return _ratio_rows(state, signal, signal.id, measured, available * sales.days[measured], np.maximum(units, 0))
    assert isinstance(signal.measure, ScarcityMeasure)  # noqa: S101
    names = dict(enumerate(scarcity.names(signal)))
    states = pl.Series(state.products["scarcity"][measured]).replace_strict(names, return_dtype=pl.String)
    thousand = np.full(len(measured), 1000, dtype=np.int64)
    return _ratio_rows(state, signal, signal.id, measured, available, thousand, states)
