"""The state that a product's signal had at the instant of a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.storage.pinned import Pinned

SIGNAL = "signal."


class States:
    """States of products through the days; what one day ends with is what the next begins with."""

    def __init__(self, lake: Pinned) -> None:
        """Nothing is read yet."""
        self.lake = lake
        self._ended: dict[str, tuple[date, pl.DataFrame]] = {}
        self._found: dict[tuple[str, date, date], pl.DataFrame] = {}

    def add(self, rows: pl.DataFrame, fields: Iterable[str], days: Sequence[date]) -> pl.DataFrame:
        """Add a column ``signal.<id>`` for each such field: the state at ``at``.

        Args:
            rows: ``product_id``, ``at`` Datetime(us, UTC) within the days.
            fields: names of fields; others than ``signal.<id>`` are left alone.
            days: consecutive tenant days, in order.
        """
        for name in fields:
            if name.startswith(SIGNAL):
                rows = _with_state(rows, name, self.changes(name.removeprefix(SIGNAL), days))
        return rows

    def changes(self, signal: str, days: Sequence[date]) -> pl.DataFrame:
        """``product_id``, ``at``, ``state``: states before the first day, then all changes, sorted by ``at``."""
        key = (signal, days[0], days[-1])
        if key not in self._found:
            self._found = {asked: rows for asked, rows in self._found.items() if asked[2] >= days[-1] - _KEPT}
            self._found[key] = self._changes(signal, days)
        return self._found[key]

    def _changes(self, signal: str, days: Sequence[date]) -> pl.DataFrame:
        moved = (
            self.lake.scan("signal_crossings", days)
            .filter((pl.col("signal_id") == signal) & pl.col("suppressed_by").is_null() & pl.col("place").is_null())
            .select(
                pl.col("subject").alias("product_id"),
                pl.col("effective_at").alias("at"),
                pl.col("to_state").alias("state"),
            )
            .collect()
        )
        found = pl.concat([self._before(signal, days[0]), moved]).sort("at", maintain_order=True)
        if len(days) == 1:
            newest = found.unique("product_id", keep="last", maintain_order=True).with_columns(_BEFORE)
            self._ended[signal] = (days[0], newest)
        return found

    def _before(self, signal: str, day: date) -> pl.DataFrame:
        known = self._ended.get(signal)
        if known is not None and known[0] == day - timedelta(days=1):
            return known[1]
        return (
            self.lake.scan("signal_snapshots", [day - timedelta(days=1)])
            .filter((pl.col("signal_id") == signal) & pl.col("state").is_not_null() & pl.col("place").is_null())
            .select(pl.col("subject").alias("product_id"), _BEFORE, "state")
            .collect()
        )


#: How long changes are kept that were asked for: several streams and windows ask for the same.
_KEPT = timedelta(days=2)
#: Before every instant.
_BEFORE = pl.lit(0, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).alias("at")


def _with_state(rows: pl.DataFrame, field: str, moves: pl.DataFrame) -> pl.DataFrame:
    if moves.is_empty() or rows.is_empty():
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias(field))
    placed = rows.with_row_index("_place").sort("at")
    named = moves.rename({"state": field})
    found = placed.join_asof(named, on="at", by="product_id", check_sortedness=False).sort("_place")
    return found.drop("_place")
