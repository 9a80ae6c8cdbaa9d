"""All day rules of one kind of subject, one day after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.daily import latch, shown
from pipelines.cohorts.daily.advance import advance
from pipelines.cohorts.daily.changes import Source
from pipelines.cohorts.daily.decide import bounds, holds
from pipelines.cohorts.daily.gaps import DayGaps, Gaps
from pipelines.cohorts.daily.numbers import Scope
from pipelines.cohorts.daily.space import Ints
from pipelines.cohorts.daily.state import State
from pipelines.cohorts.daily.totals import Total, gap_streams, totals
from pipelines.cohorts.language.order import in_order
from pipelines.cohorts.language.rules import Cohort, named_cohorts
from pipelines.signals.demand import micros

MOVED = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "at": pl.Int64,
    "direction": pl.String,
    "caused_by": pl.String,
    "context": pl.String,
}
MEMBERS = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "is_member": pl.Boolean,
    "entered_at": pl.Int64,
    "expires_at": pl.Int64,
    "updated_at": pl.Int64,
    "membership_key": pl.String,
    "context": pl.String,
}
HELD = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "at": pl.Int64,
    "direction": pl.String,
    "suppressed_by": pl.String,
}


@dataclass(frozen=True)
class DayRows:
    """Rows of a day, sorted by cohort and subject.

    Attributes:
        moved: schema ``MOVED``.
        members: schema ``MEMBERS``; leavers of the day included.
        held: schema ``HELD``: what dwell or cooldown kept from happening.
    """

    moved: pl.DataFrame
    members: pl.DataFrame
    held: pl.DataFrame


@dataclass
class DayRules:
    """Day rules with their state.

    Attributes:
        cohorts: of one kind of subject, evaluated by day.
        tenant: tenant id.
        state: at the end of the last day.
    """

    cohorts: Sequence[Cohort]
    tenant: str
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.cohorts = in_order(self.cohorts)
        found = {total.name: total for cohort in self.cohorts for total in totals(cohort)}
        self.totals: list[Total] = [found[name] for name in sorted(found)]
        self._gaps: dict[str, Gaps] = {}
        self._asked = _named(self.cohorts)
        self._keys = shown.Keys(self.tenant)
        self.begin(self.state)

    def begin(self, state: State) -> None:
        """Go on from a state."""
        self.state = state
        self._keys = shown.Keys(self.tenant)
        state.have(self.totals)
        for cohort in self.cohorts:
            state.family(cohort.for_each or "")
            latch.have(cohort, state.space(cohort.for_each or ""))

    def advance(self, day: Day, source: Source, members: Mapping[str, pl.Series], *, show: bool = True) -> DayRows:
        """Go to the end of a day.

        Args:
            day: the day after the last one.
            source: rows of the streams.
            members: cohorts of other kinds that rules name -> their members at the end of the day.
            show: whether the rows of the day are wanted; else they are empty.
        """
        for name in self._asked:
            if name in members:
                self.state.subjects.of(members[name])
        advance(self.state, self.totals, source, day)
        at = micros(day.end) - 1
        gaps = self._gaps_on(source, day)
        known = dict(members)
        rows, limits = [], {}
        for cohort in self.cohorts:
            scope = Scope(self.state, cohort, at, gaps)
            space = self.state.space(scope.key)
            enter = holds(scope, cohort.rule, known, stay=False)
            stay = enter | holds(scope, cohort.rule, known, stay=True)
            moves = latch.move(cohort, space, enter, stay, at)
            inside = np.flatnonzero(latch.members(cohort, space))
            if show:
                rows.append(self._rows(scope, moves, inside, at))
            if cohort.id in self._asked:
                known[cohort.id] = shown.subjects(scope, inside)["subject"]
            limits.update(bounds(scope, day.date.toordinal()))
        self.state.bounds = limits
        return DayRows(*(_sorted([each[place] for each in rows], schema) for place, schema in _SCHEMAS))

    def _gaps_on(self, source: Source, day: Day) -> dict[str, DayGaps]:
        """Gaps of each stream whose median a rule asks for."""
        for stream in sorted(set().union(*(gap_streams(cohort) for cohort in self.cohorts))):
            if stream not in self._gaps:
                self._gaps[stream] = Gaps(stream, source.categories())
        return {stream: gaps.on(self.state.subjects, source, day) for stream, gaps in self._gaps.items()}

    def members(self) -> pl.DataFrame:
        """``cohort_id``, ``subject`` and ``is_member`` of everyone who is in at the end of the last day."""
        found = [pl.DataFrame(schema={"cohort_id": pl.String, "subject": pl.String})]
        for cohort in self.cohorts:
            scope = Scope(self.state, cohort, 0)
            found.append(shown.subjects(scope, np.flatnonzero(latch.members(cohort, self.state.space(scope.key)))))
        return pl.concat(found).with_columns(pl.lit(True).alias("is_member"))

    def _rows(
        self, scope: Scope, moves: latch.Moves, inside: Ints, at: int
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        cohort, space = scope.cohort, self.state.space(scope.key)
        entered = space[latch.column(cohort, "entered")]
        moved = np.concatenate([moves.entered, moves.exited])
        way = np.arange(len(moved)) < len(moves.entered)
        listed = np.concatenate([inside, moves.exited])
        stays = np.arange(len(listed)) < len(inside)
        since = np.concatenate([entered[inside], moves.began])
        changed = np.maximum(space["changed"][listed], since)
        none = pl.lit(None, dtype=pl.Int64)
        members = shown.subjects(scope, listed).with_columns(
            pl.Series("is_member", stays),
            pl.Series("entered_at", since),
            pl.when(pl.Series(stays)).then(none).otherwise(at).alias("expires_at"),
            pl.when(pl.Series(stays)).then(pl.Series(changed)).otherwise(at).alias("updated_at"),
            self._keys.of(scope, listed),
            shown.context(scope, listed).alias("context"),
        )
        transitions = shown.subjects(scope, moved).with_columns(
            pl.lit(at, dtype=pl.Int64).alias("at"),
            pl.when(pl.Series(way)).then(pl.lit("entered")).otherwise(pl.lit("exited")).alias("direction"),
            pl.lit("bound").alias("caused_by"),
            shown.context(scope, moved).alias("context"),
        )
        held = np.concatenate([moves.held_in, moves.held_out])
        kept = np.arange(len(held)) < len(moves.held_in)
        suppressed = shown.subjects(scope, held).with_columns(
            pl.lit(at, dtype=pl.Int64).alias("at"),
            pl.when(pl.Series(kept)).then(pl.lit("exited")).otherwise(pl.lit("entered")).alias("direction"),
            pl.when(pl.Series(kept)).then(pl.lit("dwell")).otherwise(pl.lit("cooldown")).alias("suppressed_by"),
        )
        return transitions, members, suppressed


_SCHEMAS = ((0, MOVED), (1, MEMBERS), (2, HELD))


def _sorted(frames: list[pl.DataFrame], schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    whole = pl.concat(
        [
            pl.DataFrame(schema=schema),
            *(frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()) for frame in frames),
        ]
    )
    return whole.sort([name for name in ("cohort_id", "subject", "at") if name in schema])


def _named(cohorts: Sequence[Cohort]) -> set[str]:
    return set().union(*(named_cohorts(cohort.rule) for cohort in cohorts))
