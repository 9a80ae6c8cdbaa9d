"""All day rules of one kind of subject, one day after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.daily import latch, shown
from pipelines.cohorts.daily.advance import advance
from pipelines.cohorts.daily.changes import Source
from pipelines.cohorts.daily.decide import Members, bounds, holds, is_steady
from pipelines.cohorts.daily.gaps import DayGaps, Gaps
from pipelines.cohorts.daily.listing import HELD, MEMBERS, MOVED, Listing, Schema
from pipelines.cohorts.daily.numbers import Scope
from pipelines.cohorts.daily.space import Flags
from pipelines.cohorts.daily.state import State
from pipelines.cohorts.daily.totals import Total, gap_streams, totals
from pipelines.cohorts.language.order import in_order
from pipelines.cohorts.language.rules import Cohort, named_cohorts
from pipelines.cohorts.result import in_order as sort_rows
from pipelines.signals.demand import micros


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
        self.begin(self.state)

    def begin(self, state: State) -> None:
        """Go on from a state."""
        self.state = state
        self._truths: dict[str, Truth] = {}
        self._listings = {cohort.id: Listing(self.tenant) for cohort in self.cohorts}
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
        heights = {key: self.state.space(key).height for key in ("", *self.state.families)}
        for name in self._asked:
            if name in members:
                self.state.subjects.of(members[name])
        advance(self.state, self.totals, source, day)
        at = micros(day.end) - 1
        changed = {key: self._changed(key, height, at) for key, height in heights.items()}
        gaps = self._gaps_on(source, day)
        known = dict(members)
        rows: list[tuple[str, tuple[pl.DataFrame, ...]]] = []
        limits = {}
        for cohort in self.cohorts:
            scope = Scope(self.state, cohort, at, gaps)
            space = self.state.space(scope.key)
            inside = latch.members(cohort, space)
            truth = self._truths.setdefault(cohort.id, Truth(is_steady(cohort.rule)))
            enter, stay = truth.at(scope, known, inside, changed[scope.key])
            moves = latch.move(cohort, space, enter, stay, at)
            if show:
                entered = space[latch.column(cohort, "entered")]
                listed = self._listings[cohort.id].day(scope, moves, entered, changed[scope.key])
                rows.append((cohort.id, listed))
            if cohort.id in self._asked:
                known[cohort.id] = shown.subjects(scope, np.flatnonzero(latch.members(cohort, space)))["subject"]
            limits.update(bounds(scope, day.date.toordinal()))
        self.state.bounds = limits
        if not show:
            # What changed on a day that was not listed is not known on the next.
            self._listings = {cohort.id: Listing(self.tenant) for cohort in self.cohorts}
        rows.sort(key=lambda row: row[0])
        schemas = enumerate((MOVED, MEMBERS, HELD))
        return DayRows(*(_together([each[place] for _, each in rows], schema) for place, schema in schemas))

    def _changed(self, key: str, height: int, at: int) -> Flags:
        """Rows of a space that are new, or of which a total changed, or of their subjects."""
        changed: Flags = self.state.space(key)["changed"] == at
        changed[height:] = True
        if key:
            changed |= (self.state.subjects["changed"] == at)[self.state.owners(key)]
        return changed

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


@dataclass
class Truth:
    """Where the rule of a cohort holds; of a steady rule only rows that changed are looked at again.

    Attributes:
        steady: whether it holds as before where nothing changed.
        enter: where the rule of entry held; None before the first day.
        stay: where that of staying did, of those who were in.
    """

    steady: bool
    enter: Flags | None = None
    stay: Flags | None = None

    def at(self, scope: Scope, known: Members, inside: Flags, changed: Flags) -> tuple[Flags, Flags]:
        """Where the rule holds, to enter and for those who are in to stay."""
        cohort = scope.cohort
        again = np.flatnonzero(changed) if self.steady and self.enter is not None else np.arange(len(changed))
        enter, stay = _grown(self.enter, len(changed)), _grown(self.stay, len(changed))
        part = replace(scope, rows=again)
        enter[again] = stay[again] = holds(part, cohort.rule, known, stay=False)
        doubtful = again[inside[again] & ~enter[again]]
        stay[doubtful] = holds(replace(scope, rows=doubtful), cohort.rule, known, stay=True)
        self.enter, self.stay = enter, stay
        return enter, stay


def _grown(flags: Flags | None, height: int) -> Flags:
    before = np.zeros(0, dtype=np.bool_) if flags is None else flags
    return np.concatenate([before, np.zeros(height - len(before), dtype=np.bool_)])


def _together(frames: Sequence[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    """Frames of cohorts that follow each other by name, each in order; a family may have another cohort within."""
    return sort_rows(pl.concat([pl.DataFrame(schema=schema), *frames]))


def _named(cohorts: Sequence[Cohort]) -> set[str]:
    return set().union(*(named_cohorts(cohort.rule) for cohort in cohorts))
