"""Crossings as they are found: arrays by product while a day is computed, rows of ``signal_crossings`` at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.signals.arrays import Flags, Ints
from pipelines.signals.machine import CAUSES, UNDEFINED, Moves

ROWS = {
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
    "place": pl.String,
}
#: Between a product and a place in the name of a slot; the total over all places has an empty place.
SEPARATOR = "\x1f"
#: Numerator and denominator of a value; a denominator of 0 stands for none.
Ratio = tuple[Ints, Ints]


@dataclass
class Crossings:
    """What a day found, one entry per signal and instant."""

    parts: list[pl.DataFrame] = field(default_factory=list)

    def add(
        self,
        signal_id: str,
        subjects: pl.Series,
        moves: Moves,
        names: Mapping[int, str],
        at: int | Ints,
        before: Ratio,
        after: Ratio,
        up: Flags,
        threshold: Ratio | None = None,
    ) -> None:
        """Add crossings of one signal.

        Args:
            signal_id: which.
            subjects: ids of products or slots by index.
            moves: what moved.
            names: of the codes; ``UNDEFINED`` and those that are missing stand for none.
            at: microseconds, one for all or one each.
            before: value before, one each.
            after: value after, one each.
            up: direction, one each.
            threshold: bound that was crossed, one each.
        """
        if not len(moves.index):
            return
        height = len(moves.index)
        none = np.zeros(height, dtype=np.int64)
        over, under = threshold or (none, none)
        frame = pl.DataFrame(
            {
                "origin": moves.origin,
                "target": moves.target,
                "cause": moves.cause,
                "b0": before[0],
                "b1": before[1],
                "a0": after[0],
                "a1": after[1],
                "t0": over,
                "t1": under,
                "effective_at": at if isinstance(at, np.ndarray) else np.full(height, at, dtype=np.int64),
                "up": up,
            },
            schema_overrides={"effective_at": pl.Int64},
        )
        named = {code: name for code, name in names.items() if code != UNDEFINED}
        self.parts.append(
            frame.select(
                pl.lit(signal_id).alias("signal_id"),
                subjects.gather(moves.index).alias("subject"),
                pl.col("origin").replace_strict(named, default=None, return_dtype=pl.String).alias("from_state"),
                pl.col("target").replace_strict(named, return_dtype=pl.String).alias("to_state"),
                _ratio("b0", "b1").alias("value_before"),
                _ratio("a0", "a1").alias("value_after"),
                _ratio("t0", "t1").alias("threshold"),
                pl.when("up").then(pl.lit("up")).otherwise(pl.lit("down")).alias("direction"),
                "effective_at",
                pl.col("cause").replace_strict(CAUSES, default=None, return_dtype=pl.String).alias("suppressed_by"),
            )
        )

    def rows(self) -> pl.DataFrame:
        """Everything that was added (schema ``ROWS``)."""
        whole_names = {name: kind for name, kind in ROWS.items() if name != "place"}
        return split_place(pl.concat([pl.DataFrame(schema=whole_names), *self.parts]))


def split_place(rows: pl.DataFrame) -> pl.DataFrame:
    """``subject`` as a product, and its ``place``: null for the whole tenant."""
    parts = pl.col("subject").str.splitn(SEPARATOR, 2)
    place = parts.struct.field("field_1").replace("", None).alias("place")
    return rows.with_columns(parts.struct.field("field_0").alias("subject"), place)


def _ratio(top: str, bottom: str) -> pl.Expr:
    return pl.when(pl.col(bottom) != 0).then(pl.col(top) / pl.col(bottom))


def whole(values: Ints) -> Ratio:
    """Whole numbers as a ratio."""
    return values, np.ones(len(values), dtype=np.int64)


def nothing(length: int) -> Ratio:
    """No value."""
    return np.zeros(length, dtype=np.int64), np.zeros(length, dtype=np.int64)
