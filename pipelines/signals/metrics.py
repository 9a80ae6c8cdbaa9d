"""How the catalogue fares on a day: coverage of products, crossings by signal, products by state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.signals.catalogue import Signal
from pipelines.signals.day import Result

COLUMNS = {
    "metric": pl.String,
    "signal_id": pl.String,
    "state": pl.String,
    "count": pl.Int64,
    "of": pl.Int64,
    "share": pl.Float64,
}


def metrics(found: Result, signals: Mapping[str, Signal]) -> pl.DataFrame:
    """Rows of ``signal_metrics`` of a day without the date, over all places together.

    Args:
        found: what the day says.
        signals: definitions, which say what qualifies: a state, or any event.
    """
    whole = found.snapshot.filter(pl.col("place").is_null())
    crossed = found.crossings.filter(pl.col("place").is_null())
    counted = crossed.filter(pl.col("suppressed_by").is_null())
    sizes = _sizes(whole)
    coverage = _coverage(whole, found.windows, counted, signals)
    parts = [_rows(coverage, "demand_coverage"), *_by_signal(crossed), _rows(sizes, "sku_in_state")]
    return pl.concat([part.select(list(COLUMNS)) for part in parts])


def _coverage(
    whole: pl.DataFrame, windows: pl.DataFrame, counted: pl.DataFrame, signals: Mapping[str, Signal]
) -> pl.DataFrame:
    """Products with at least one signal that qualifies, among all that have a value."""
    told, there = _codes(whole, "signal_id"), _codes(whole, "state")
    names, states = _texts(whole, "signal_id").to_list(), _texts(whole, "state").to_list()
    every = _texts(whole, "subject")
    # The last row and column stand for what has no text.
    qualifies = np.zeros((len(names) + 1, len(states) + 1), dtype=np.bool_)
    for signal in signals.values():
        for state in signal.qualifies:
            if signal.id in names and state in states:
                qualifies[names.index(signal.id), states.index(state)] = True
    held = np.zeros(every.len(), dtype=np.bool_)
    subject = _codes(whole, "subject")
    held[subject[qualifies[told, there]]] = True
    some = np.zeros(every.len(), dtype=np.bool_)
    some[subject] = True
    eventful = [signal.id for signal in signals.values() if signal.is_event]
    events = counted.filter(pl.col("signal_id").cast(pl.String).is_in(eventful))["subject"].unique()
    with_events = every.is_in(events.implode()).to_numpy()
    covered = int((held | with_events).sum()) + (~events.is_in(every.implode())).sum()
    more = pl.concat([windows["subject"], events, every.filter(pl.Series(some))])
    products = more.n_unique()
    return pl.DataFrame({"count": [covered], "of": [products]})


def _codes(rows: pl.DataFrame, name: str) -> npt.NDArray[np.int64]:
    """Places of texts in ``_texts``, -1 for none."""
    column = rows[name]
    if column.dtype == pl.String:
        column = column.cast(pl.Enum(column.drop_nulls().unique().sort()))
    found: npt.NDArray[np.int64] = column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    return found


def _texts(rows: pl.DataFrame, name: str) -> pl.Series:
    kind = rows.schema[name]
    return kind.categories if isinstance(kind, pl.Enum) else rows[name].drop_nulls().unique().sort()


def _by_signal(crossed: pl.DataFrame) -> list[pl.DataFrame]:
    total = crossed.group_by("signal_id").agg(
        pl.col("suppressed_by").is_null().sum().cast(pl.Int64).alias("kept"), pl.len().cast(pl.Int64).alias("of")
    )
    ordered = (
        total.cast({"signal_id": pl.String})
        .sort("signal_id")
        .with_columns((pl.col("of") - pl.col("kept")).alias("held"))
    )
    return [
        _rows(ordered.rename({column: "count"}), metric)
        for metric, column in (("signals_crossed", "kept"), ("signals_suppressed", "held"))
    ]


def _sizes(whole: pl.DataFrame) -> pl.DataFrame:
    """Products by signal and state."""
    names, states = _texts(whole, "signal_id").to_list(), _texts(whole, "state").to_list()
    told, there = _codes(whole, "signal_id"), _codes(whole, "state")
    wide = len(states) + 1
    sizes = np.bincount(told * wide + there % wide, minlength=len(names) * wide).reshape(-1, wide)[:, :-1]
    rows = [
        (name, state, int(sizes[x, y])) for x, name in enumerate(names) for y, state in enumerate(states) if sizes[x, y]
    ]
    frame = pl.DataFrame(rows, schema={"signal_id": pl.String, "state": pl.String, "count": pl.Int64}, orient="row")
    return frame.with_columns(pl.col("count").sum().over("signal_id").alias("of"))


def _rows(frame: pl.DataFrame, metric: str) -> pl.DataFrame:
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in COLUMNS.items() if name not in frame.columns]
    share = pl.when(pl.col("of") > 0).then(pl.col("count") / pl.col("of")).alias("share")
    return frame.with_columns(*missing).with_columns(
        pl.lit(metric).alias("metric"), pl.col("count", "of").cast(pl.Int64), share
    )
