"""Rows of a day of one day rule: who moved, who is in and who left, and what was held back, each in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.cohorts.daily import shown
from pipelines.cohorts.daily.decide import is_steady
from pipelines.cohorts.daily.latch import Moves
from pipelines.cohorts.daily.numbers import Scope
from pipelines.cohorts.daily.space import Flags, Ints
from pipelines.cohorts.daily.state import NONE
from pipelines.storage.hashing import identifiers

Schema = Mapping[str, type[pl.DataType]]
MOVED: Schema = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "at": pl.Int64,
    "direction": pl.String,
    "caused_by": pl.String,
    "context": pl.String,
}
MEMBERS: Schema = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "is_member": pl.Boolean,
    "entered_at": pl.Int64,
    "expires_at": pl.Int64,
    "updated_at": pl.Int64,
    "membership_key": pl.String,
    "context": pl.String,
}
HELD: Schema = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "at": pl.Int64,
    "direction": pl.String,
    "suppressed_by": pl.String,
}
_NOBODY: Schema = {name: dtype for name, dtype in MEMBERS.items() if name not in ("is_member", "expires_at")}


@dataclass
class Listing:
    """Members of one cohort as they were listed last; only what changed since then is made again.

    Attributes:
        tenant: tenant id, a part of each ``membership_key``.
        rows: members, as rows of the cohort's space.
        frame: ``cohort_id``, ``subject``, ``entered_at``, ``updated_at``, ``membership_key``, ``context``; sorted.
    """

    tenant: str
    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    frame: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_NOBODY))

    def update(self, scope: Scope, entered: Ints, changed: Flags) -> None:
        """List the members anew.

        Args:
            scope: all rows of the cohort's space.
            entered: since when each row is in, ``NONE`` where it is not.
            changed: rows of which something differs from when they were listed.
        """
        fresh = entered != NONE
        kept = fresh[self.rows] & ~changed[self.rows]
        fresh[self.rows[kept]] = False
        again = np.flatnonzero(fresh)
        resting, made = self.frame.filter(kept), self._made(scope, again, entered[again])
        rows = np.concatenate([self.rows[kept], again])
        if not all(is_steady(value) for value in scope.cohort.context.values()):
            resting = resting.with_columns(shown.context(scope, rows[: len(rows) - len(again)]))
        order = np.argsort(scope.state.order(scope.key, rows))
        self.rows, self.frame = rows[order], pl.concat([resting, made])[order]

    def _made(self, scope: Scope, rows: Ints, entered: Ints) -> pl.DataFrame:
        changed = scope.state.space(scope.key)["changed"][rows]
        return shown.subjects(scope, rows).with_columns(
            pl.Series("entered_at", entered),
            pl.Series("updated_at", np.maximum(changed, entered)),
            self.keys(scope, rows),
            shown.context(scope, rows),
        )

    def keys(self, scope: Scope, rows: Ints) -> pl.Series:
        """``membership_key`` of rows; those that were listed are not hashed again."""
        place = np.full(scope.state.space(scope.key).height, -1, dtype=np.int64)
        place[self.rows] = np.arange(len(self.rows))
        known, unknown = place[rows], np.flatnonzero(place[rows] < 0)
        keys = pl.concat([self.frame["membership_key"], _hashed(self.tenant, shown.subjects(scope, rows[unknown]))])
        known[unknown] = np.arange(len(unknown)) + len(self.rows)
        return keys.gather(known)

    def day(self, scope: Scope, moves: Moves, entered: Ints, changed: Flags) -> tuple[pl.DataFrame, ...]:
        """Rows of a day with the schemas ``MOVED``, ``MEMBERS`` and ``HELD``.

        Args:
            scope: all rows of the cohort's space at the end of the day.
            moves: who moved on it.
            entered: since when each row is in, ``NONE`` where it is not.
            changed: as for ``update``.
        """
        at = pl.lit(scope.as_of, dtype=pl.Int64)
        keys = self.keys(scope, moves.exited)
        self.update(scope, entered, changed)
        came, went = (_told(scope, rows) for rows in (moves.entered, moves.exited))
        left = went.with_columns(pl.Series("entered_at", moves.began), at.alias("expires_at"), at.alias("updated_at"))
        members = [
            self.frame.with_columns(pl.lit(None, pl.Int64).alias("expires_at"), pl.lit(True).alias("is_member")),
            left.with_columns(keys, pl.lit(False).alias("is_member")),
        ]
        moved = [
            rows.with_columns(at.alias("at"), pl.lit(way).alias("direction"), pl.lit("bound").alias("caused_by"))
            for rows, way in ((came, "entered"), (went, "exited"))
        ]
        held = [
            shown.subjects(scope, rows).with_columns(
                at.alias("at"), pl.lit(way).alias("direction"), pl.lit(cause).alias("suppressed_by")
            )
            for rows, way, cause in ((moves.held_in, "exited", "dwell"), (moves.held_out, "entered", "cooldown"))
        ]
        return (
            _in_order(scope, [moves.entered, moves.exited], moved, MOVED),
            _in_order(scope, [self.rows, moves.exited], members, MEMBERS),
            _in_order(scope, [moves.held_in, moves.held_out], held, HELD),
        )


def _told(scope: Scope, rows: Ints) -> pl.DataFrame:
    return shown.subjects(scope, rows).with_columns(shown.context(scope, rows))


def _in_order(scope: Scope, rows: Sequence[Ints], frames: Sequence[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    """One frame, in the order of cohort and subject."""
    whole = pl.concat([frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()) for frame in frames])
    return whole[np.argsort(scope.state.order(scope.key, np.concatenate(rows)))]


def _hashed(tenant: str, named: pl.DataFrame) -> pl.Series:
    key = identifiers([pl.lit(tenant), pl.col("cohort_id"), pl.col("subject")])
    return named.select(key.alias("membership_key")).to_series()
