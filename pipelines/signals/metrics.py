"""How the catalogue fares on a day: coverage of products, crossings by signal, products by state."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from pipelines.signals.catalogue import Signal
from pipelines.storage.hashing import subject_key

COLUMNS = {
    "metric": pl.String,
    "signal_id": pl.String,
    "state": pl.String,
    "count": pl.Int64,
    "of": pl.Int64,
    "share": pl.Float64,
}


def metrics(snapshot: pl.DataFrame, crossings: pl.DataFrame, signals: Mapping[str, Signal]) -> pl.DataFrame:
    """Rows of ``signal_metrics`` of a day without the date, over all places together.

    Args:
        snapshot: ``signal_snapshots`` of the day.
        crossings: ``signal_crossings`` of the day.
        signals: definitions, which say what qualifies: a state, or any event.
    """
    # Columns that are not needed would be copied with every row.
    kept = snapshot.select("signal_id", subject_key("subject").alias("subject"), "state", "place")
    whole = kept.filter(pl.col("place").is_null()).drop("place")
    crossed = crossings.filter(pl.col("place").is_null()).with_columns(subject_key("subject").alias("subject"))
    counted = crossed.filter(pl.col("suppressed_by").is_null())
    parts = [_coverage(whole, counted, signals), *_by_signal(crossed), _by_state(whole)]
    return pl.concat([part.select(list(COLUMNS)) for part in parts])


def _coverage(whole: pl.DataFrame, counted: pl.DataFrame, signals: Mapping[str, Signal]) -> pl.DataFrame:
    """Products with at least one signal that qualifies, among all that have a value."""
    pairs = [(signal.id, state) for signal in signals.values() for state in signal.qualifies]
    wanted = pl.DataFrame(pairs, schema={"signal_id": pl.String, "state": pl.String}, orient="row")
    eventful = [signal.id for signal in signals.values() if signal.is_event]
    held = (
        whole.filter(pl.col("state").is_not_null())
        .join(wanted, on=["signal_id", "state"], how="semi")
        .select("subject")
    )
    fired = counted.filter(pl.col("signal_id").is_in(eventful)).select("subject")
    covered = pl.concat([held, fired])["subject"].n_unique()
    products = pl.concat([whole.select("subject"), fired])["subject"].n_unique()
    return _rows(pl.DataFrame({"count": [covered], "of": [products]}), "demand_coverage")


def _by_signal(crossed: pl.DataFrame) -> list[pl.DataFrame]:
    total = crossed.group_by("signal_id").agg(
        pl.col("suppressed_by").is_null().sum().cast(pl.Int64).alias("kept"), pl.len().cast(pl.Int64).alias("of")
    )
    ordered = total.sort("signal_id").with_columns((pl.col("of") - pl.col("kept")).alias("held"))
    return [
        _rows(ordered.rename({column: "count"}), metric)
        for metric, column in (("signals_crossed", "kept"), ("signals_suppressed", "held"))
    ]


def _by_state(whole: pl.DataFrame) -> pl.DataFrame:
    counted = whole.filter(pl.col("state").is_not_null()).group_by("signal_id", "state")
    sizes = counted.agg(pl.len().cast(pl.Int64).alias("count")).sort("signal_id", "state")
    return _rows(sizes.with_columns(pl.col("count").sum().over("signal_id").alias("of")), "sku_in_state")


def _rows(frame: pl.DataFrame, metric: str) -> pl.DataFrame:
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in COLUMNS.items() if name not in frame.columns]
    share = pl.when(pl.col("of") > 0).then(pl.col("count") / pl.col("of")).alias("share")
    return frame.with_columns(*missing).with_columns(
        pl.lit(metric).alias("metric"), pl.col("count", "of").cast(pl.Int64), share
    )
