"""Crossings as they are found: arrays by product while a day is computed, rows of ``signal_crossings`` at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.signals.arrays import SEPARATOR, Flags, Ints, split_place
from pipelines.signals.machine import CAUSES, UNDEFINED, Moves
from pipelines.storage.encode import coded

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
__all__ = ["ROWS", "SEPARATOR", "Crossings", "Ratio", "nothing", "whole"]

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
        """Everything that was added (schema ``ROWS``), what is told by a few words as ``Enum``."""
        if not self.found:
            return pl.DataFrame(schema=ROWS)
        texts = sorted({name for names in self.names.values() for name in names.values()})
        words = {name: place for place, name in enumerate(texts)}
        parts = [self._numbers(signal_id, found, words) for signal_id, found in self.found.items()]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in _NUMBERS}
        ids = sorted(self.found)
        signal = np.repeat([ids.index(each) for each in self.found], [len(part["up"]) for part in parts])
        # Subjects only grow at their end, so that the newest list holds them all.
        subjects = [
            found[-1].subjects.gather(np.concatenate([each.index for each in found])).alias("subject")
            for found in self.found.values()
        ]
        values = pl.DataFrame({name: columns[name] for name in ("b0", "b1", "a0", "a1", "t0", "t1", "effective_at")})
        frame = values.select(
            coded(signal, pl.Series(ids)).alias("signal_id"),
            pl.concat(subjects),
            coded(columns["origin"], pl.Series(texts)).alias("from_state"),
            coded(columns["target"], pl.Series(texts)).alias("to_state"),
            _ratio("b0", "b1").alias("value_before"),
            _ratio("a0", "a1").alias("value_after"),
            _ratio("t0", "t1").alias("threshold"),
            coded(columns["up"], pl.Series(["down", "up"])).alias("direction"),
            "effective_at",
            coded(columns["cause"] - 1, pl.Series([CAUSES[1], CAUSES[2]])).alias("suppressed_by"),
        )
        return split_place(frame)

    def _numbers(self, signal_id: str, found: list[_Found], words: Mapping[str, int]) -> dict[str, Ints]:
        columns = [np.concatenate(parts) for parts in zip(*[each.numbers for each in found], strict=True)]
        numbers = dict(zip(_NUMBERS, columns, strict=True))
        for name in ("origin", "target"):
            numbers[name] = _named(numbers[name], self.names[signal_id], words)
        return numbers


def _named(codes: Ints, names: Mapping[int, str], words: Mapping[str, int]) -> Ints:
    """Places of the names of codes, -1 for none."""
    low = int(codes.min())
    known = [words[names[code]] if code in names else -1 for code in range(low, int(codes.max()) + 1)]
    return np.array(known, dtype=np.int64)[codes - low]


def _ratio(top: str, bottom: str) -> pl.Expr:
    return pl.when(pl.col(bottom) != 0).then(pl.col(top) / pl.col(bottom))


def whole(values: Ints) -> Ratio:
    """Whole numbers as a ratio."""
    return values, np.ones(len(values), dtype=np.int64)


def nothing(length: int) -> Ratio:
    """No value."""
    return np.zeros(length, dtype=np.int64), np.zeros(length, dtype=np.int64)
