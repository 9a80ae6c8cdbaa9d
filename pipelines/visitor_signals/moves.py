"""Crossings as they are found on a day, and the rows of ``visitor_signal_crossings`` that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.cohorts.daily.space import Ints, Names
from pipelines.signals.machine import CAUSES, Moves
from pipelines.storage.hashing import identifiers
from pipelines.visitor_signals.resolve import Resolved
from schemas.registry import LAKE

TABLE = "visitor_signal_crossings"
#: Numerator and denominator; a denominator of 0 stands for none.
Ratio = tuple[Ints, Ints]


def nothing(length: int) -> Ratio:
    """No value."""
    return np.zeros(length, dtype=np.int64), np.zeros(length, dtype=np.int64)


@dataclass
class Crossings:
    """What a day found.

    Attributes:
        tenant: id, a part of the ids of crossings.
        frames: rows of the table, without the date.
    """

    tenant: str
    frames: list[pl.DataFrame] = field(default_factory=list)

    def add(
        self,
        found: Resolved,
        names: Names,
        moves: Moves,
        states: Mapping[int, str],
        at: Ints | int,
        before: Ratio | None = None,
        after: Ratio | None = None,
        threshold: Ratio | None = None,
    ) -> None:
        """Add crossings of one signal.

        Args:
            found: the signal.
            names: subjects by number.
            moves: what moved.
            states: names of the codes; a code without a name is no state.
            at: microseconds, one for all or one each.
            before: value before, one each.
            after: value after, one each.
            threshold: bound that was crossed, one each.
        """
        height = len(moves.index)
        if not height:
            return
        text = {code: name for code, name in states.items()}
        up = moves.target > moves.origin
        values = {"value_before": before, "value_after": after, "threshold": threshold}
        frame = pl.DataFrame(
            {
                "subject": names.ids.gather(moves.index),
                "from_state": pl.Series(moves.origin).replace_strict(text, default=None, return_dtype=pl.String),
                "to_state": pl.Series(moves.target).replace_strict(text, default=None, return_dtype=pl.String),
                "suppressed_by": pl.Series(moves.cause).replace_strict(CAUSES, default=None, return_dtype=pl.String),
                "at": at if isinstance(at, np.ndarray) else np.full(height, at, dtype=np.int64),
                "up": up,
                **{f"{name}_{side}": part for name, pair in values.items() for side, part in _sides(pair, height)},
            }
        )
        self.frames.append(self._row(found, frame, list(values)))

    def _row(self, found: Resolved, frame: pl.DataFrame, values: list[str]) -> pl.DataFrame:
        instant = pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC")
        named = frame.with_columns(
            pl.lit(found.id).alias("signal_id"),
            pl.lit(found.signal.subject).alias("subject_type"),
            pl.lit(found.version).alias("definition_version"),
            pl.when("up").then(pl.lit("up")).otherwise(pl.lit("down")).alias("direction"),
            instant.alias("effective_at"),
            *(_ratio(name) for name in values),
        )
        parts = [pl.lit(self.tenant), pl.col("signal_id"), pl.col("subject"), pl.col("to_state")]
        iso = pl.col("effective_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        return named.with_columns(identifiers([*parts, iso]).alias("crossing_id")).select(list(_SCHEMA))

    def rows(self) -> pl.DataFrame:
        """All of them, sorted by id."""
        return pl.concat([pl.DataFrame(schema=_SCHEMA), *self.frames]).sort("crossing_id")


_SCHEMA = {name: kind for name, kind in LAKE[TABLE].schema.items() if name != "date"}


def _sides(pair: Ratio | None, height: int) -> list[tuple[str, Ints]]:
    top, under = pair or nothing(height)
    return [("top", top), ("under", under)]


def _ratio(name: str) -> pl.Expr:
    top, under = pl.col(f"{name}_top"), pl.col(f"{name}_under")
    return pl.when(under != 0).then(top / under).alias(name)
