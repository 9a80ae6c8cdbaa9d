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


_NUMBERS = ("origin", "target", "cause", "b0", "b1", "a0", "a1", "t0", "t1", "effective_at", "up")


@dataclass(frozen=True)
class _Found:
    subjects: pl.Series
    index: Ints
    numbers: tuple[Ints, ...]


@dataclass
class Crossings:
    """What a day found: by signal, one entry an instant."""

    found: dict[str, list[_Found]] = field(default_factory=dict)
    names: dict[str, Mapping[int, str]] = field(default_factory=dict)

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
        height = len(moves.index)
        if not height:
            return
        bound = threshold or nothing(height)
        instants = at if isinstance(at, np.ndarray) else np.full(height, at, dtype=np.int64)
        numbers = (moves.origin, moves.target, moves.cause, *before, *after, *bound, instants, up.astype(np.int64))
        self.names[signal_id] = {code: name for code, name in names.items() if code != UNDEFINED}
        self.found.setdefault(signal_id, []).append(_Found(subjects, moves.index, numbers))

    def rows(self) -> pl.DataFrame:
        """Everything that was added (schema ``ROWS``)."""
        schema = {name: kind for name, kind in ROWS.items() if name != "place"}
        parts = [self._rows(signal_id, found) for signal_id, found in self.found.items()]
        return split_place(pl.concat([pl.DataFrame(schema=schema), *parts]))

    def _rows(self, signal_id: str, found: list[_Found]) -> pl.DataFrame:
        columns = [np.concatenate(parts) for parts in zip(*[each.numbers for each in found], strict=True)]
        # Subjects only grow at their end, so that the newest list holds them all.
        index = np.concatenate([each.index for each in found])
        frame = pl.DataFrame(dict(zip(_NUMBERS, columns, strict=True)), schema=dict.fromkeys(_NUMBERS, pl.Int64))
        names = self.names[signal_id]
        return frame.select(
            pl.lit(signal_id).alias("signal_id"),
            found[-1].subjects.gather(index).alias("subject"),
            pl.col("origin").replace_strict(names, default=None, return_dtype=pl.String).alias("from_state"),
            pl.col("target").replace_strict(names, return_dtype=pl.String).alias("to_state"),
            _ratio("b0", "b1").alias("value_before"),
            _ratio("a0", "a1").alias("value_after"),
            _ratio("t0", "t1").alias("threshold"),
            pl.when(pl.col("up") == 1).then(pl.lit("up")).otherwise(pl.lit("down")).alias("direction"),
            "effective_at",
            pl.col("cause").replace_strict(CAUSES, default=None, return_dtype=pl.String).alias("suppressed_by"),
        )


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
