"""The state that a product's signal had at the instant of a row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import polars as pl

from pipelines.storage.lake import Lake

SIGNAL = "signal."


def with_states(lake: Lake, rows: pl.DataFrame, fields: Iterable[str], day: date) -> pl.DataFrame:
    """Add a column ``signal.<id>`` for each such field: the state at ``at`` by what is known of that day.

    Args:
        lake: the tenant's lake.
        rows: ``product_id``, ``at`` Datetime(us, UTC) within the day.
        fields: names of fields; others than ``signal.<id>`` are left alone.
        day: the tenant day.
    """
    for name in fields:
        if name.startswith(SIGNAL):
            rows = _with_state(lake, rows, name, day)
    return rows


def _with_state(lake: Lake, rows: pl.DataFrame, field: str, day: date) -> pl.DataFrame:
    moves = state_changes(lake, field.removeprefix(SIGNAL), day)
    if moves.is_empty() or rows.is_empty():
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias(field))
    placed = rows.with_row_index("_place").sort("at")
    named = moves.rename({"state": field})
    found = placed.join_asof(named, on="at", by="product_id", check_sortedness=False).sort("_place")
    return found.drop("_place")


def state_changes(lake: Lake, signal: str, day: date) -> pl.DataFrame:
    """``product_id``, ``at``, ``state``: states before the day, then its changes, sorted by ``at``."""
    before = (
        lake.scan("signal_snapshots", [day - timedelta(days=1)])
        .filter((pl.col("signal_id") == signal) & pl.col("state").is_not_null() & pl.col("place").is_null())
        .select(
            pl.col("subject").alias("product_id"),
            pl.lit(0, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).alias("at"),
            "state",
        )
        .collect()
    )
    moved = (
        lake.scan("signal_crossings", [day])
        .filter((pl.col("signal_id") == signal) & pl.col("suppressed_by").is_null() & pl.col("place").is_null())
        .select(
            pl.col("subject").alias("product_id"), pl.col("effective_at").alias("at"), pl.col("to_state").alias("state")
        )
        .collect()
    )
    return pl.concat([before, moved]).sort("at", maintain_order=True)
