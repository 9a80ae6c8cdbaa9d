"""How the catalogue fares on a day: coverage of products, crossings by signal, products by state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.signals.arrays import Ints
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
    whole = _Whole.of(found.snapshot)
    crossed = found.crossings.filter(pl.col("place").is_null())
    counted = crossed.filter(pl.col("suppressed_by").is_null())
    coverage = _coverage(whole, found.windows, counted, signals)
    parts = [_rows(coverage, "demand_coverage"), *_by_signal(crossed), _rows(_sizes(whole), "sku_in_state")]
    return pl.concat([part.select(list(COLUMNS)) for part in parts])


@dataclass(frozen=True)
class _Whole:
    """Snapshots of all places together: numbers of texts, -1 for none, and the texts."""

    signal: Ints
    state: Ints
    subject: Ints
    signals: list[str]
    states: list[str]
    subjects: pl.Series

    @classmethod
    def of(cls, snapshot: pl.DataFrame) -> _Whole:
        some = snapshot["place"].is_null().to_numpy()
        signal, signals = _coded(snapshot["signal_id"])
        state, states = _coded(snapshot["state"])
        subject, subjects = _coded(snapshot["subject"])
        return cls(signal[some], state[some], subject[some], signals.to_list(), states.to_list(), subjects)


def _coded(column: pl.Series) -> tuple[Ints, pl.Series]:
    kind = column.dtype
    if not isinstance(kind, pl.Enum):
        kind = pl.Enum(column.drop_nulls().unique().sort())
        column = column.cast(kind)
    return column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy(), kind.categories


def _coverage(
    whole: _Whole, windows: pl.DataFrame, counted: pl.DataFrame, signals: Mapping[str, Signal]
) -> pl.DataFrame:
    """Products with at least one signal that qualifies, among all that have a value."""
    # The last row and column stand for what has no text.
    qualifies = np.zeros((len(whole.signals) + 1, len(whole.states) + 1), dtype=np.bool_)
    for signal in signals.values():
        for state in signal.qualifies:
            if signal.id in whole.signals and state in whole.states:
                qualifies[whole.signals.index(signal.id), whole.states.index(state)] = True
    held, some = (np.zeros(whole.subjects.len(), dtype=np.bool_) for _ in range(2))
    held[whole.subject[qualifies[whole.signal, whole.state]]] = True
    some[whole.subject] = True
    eventful = [signal.id for signal in signals.values() if signal.is_event]
    events = counted.filter(pl.col("signal_id").cast(pl.String).is_in(eventful))["subject"].unique()
    known, covered = (whole.subjects.filter(pl.Series(flags)) for flags in (some, held))
    more = pl.concat([windows["subject"].filter(~windows["subject"].is_in(known.implode())), events]).unique()
    return pl.DataFrame(
        {
            "count": [covered.len() + _beyond(events, covered)],
            "of": [known.len() + _beyond(more, known)],
        }
    )


def _beyond(texts: pl.Series, others: pl.Series) -> int:
    """How many are not among others."""
    return texts.len() - int(texts.is_in(others.implode()).sum())


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


def _sizes(whole: _Whole) -> pl.DataFrame:
    """Products by signal and state."""
    names, states = whole.signals, whole.states
    wide = len(states) + 1
    sizes = np.bincount(whole.signal * wide + whole.state % wide, minlength=len(names) * wide).reshape(-1, wide)[:, :-1]
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
