"""Totals from one day to the next: what came to count is added, what ceased is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.daily.changes import Rows, Source
from pipelines.cohorts.daily.space import Flags, Ints, Space, pair_codes
from pipelines.cohorts.daily.state import NONE, State
from pipelines.cohorts.daily.totals import Total
from pipelines.cohorts.language.matches import holds
from pipelines.cohorts.streams.customers import REPEATING
from pipelines.signals.demand import micros


def advance(state: State, totals: Sequence[Total], source: Source, day: Day) -> None:
    """Move the totals to the end of a day.

    Args:
        state: at the end of the day before; changed in place.
        totals: all totals of the state.
        source: rows of the streams.
        day: the day.
    """
    today = day.date.toordinal()
    ordered = sorted(totals, key=lambda total: (*_read(total), total.name))
    for (stream, _), group in groupby(ordered, key=_read):
        wanted = list(group)
        fields = set().union(*(total.fields for total in wanted))
        rows = source.on(stream, fields, {total.days for total in wanted}, day)
        if rows.frame.height:
            _Step(state, rows, today, micros(day.end) - 1, source.whole).all(wanted)
    state.prune()
    if not state.first_day and state.subjects.height:
        state.first_day = today


def _read(total: Total) -> tuple[str, bool]:
    """Stream, and whether its rows are repeated for each value of a field: those are read apart from the others."""
    return total.stream, bool(total.fields & REPEATING)


class _Step:
    """One stream on one day."""

    def __init__(self, state: State, rows: Rows, today: int, last: int, whole: bool) -> None:
        self.state, self.rows, self.today, self.last, self.whole = state, rows, today, last, whole
        self.first = rows.first()
        self._matching: dict[object, Flags] = {}
        self._numbered: dict[str, Ints] = {}

    def all(self, totals: list[Total]) -> None:
        """Move every total of the stream."""
        for total in totals:
            stop = self.rows.stop(total.days)
            real = (self.first < stop) & self._matches(total)
            came = np.flatnonzero(real & (self.first == self.today))
            went = np.flatnonzero(real & (stop == self.today))
            if len(came) or len(went):
                self._move(total, came, went, real & (self.first <= self.today) & (stop > self.today))

    def _matches(self, total: Total) -> Flags:
        if total.tests not in self._matching:
            found = self.rows.frame.select(holds(total.tests).alias("on")).to_series()
            flags = found.to_numpy() if found.len() == self.rows.frame.height else np.ones(len(self.first), np.bool_)
            self._matching[total.tests] = flags.astype(np.bool_)
        matching = self._matching[total.tests]
        if total.key:
            matching = matching & self.rows.frame[total.key].is_not_null().to_numpy()
        if total.field:
            matching = matching & self.rows.frame[total.field].is_not_null().to_numpy()
        return matching

    def _move(self, total: Total, came: Ints, went: Ints, counting: Flags) -> None:
        changed = np.concatenate([came, went])
        sign = np.concatenate([np.ones(len(came), np.int64), np.full(len(went), -1, np.int64)])
        owners = self._numbers("subject", changed)
        space, place = self._place(total, changed, owners)
        space["changed"][place] = self.last
        if total.key:
            self.state.subjects["changed"][owners] = self.last
        if total.kind == "count":
            np.add.at(space[total.name], place, sign * self._column("weight")[changed])
        elif total.kind == "present":
            np.add.at(space[total.name], place, sign)
        elif total.kind == "sum":
            np.add.at(space[total.name], place, sign * self._column(total.field)[changed])
        elif total.kind == "distinct":
            values = self._numbers(total.field, changed)
            moved, differs = self.state.distinct[total.name].add(pair_codes(place, values), sign)
            np.add.at(space[total.name], moved, differs)
        else:
            self._extreme(total, space, place[: len(came)], came)
            if len(went):
                self._without(total, space, place[len(came) :], went, counting)

    def _column(self, name: str) -> Ints:
        found: Ints = self.rows.frame[name].to_numpy()
        return found

    def _numbers(self, name: str, rows: Ints) -> Ints:
        """Numbers of the values of a column in some rows; each row is looked up once, however many totals ask."""
        if name not in self._numbered:
            self._numbered[name] = np.full(len(self.first), -1, dtype=np.int64)
        known = self._numbered[name]
        fresh = rows[known[rows] < 0]
        if len(fresh):
            names = self.state.subjects if name == "subject" else self.state.values[name]
            values = self.rows.frame[name].gather(fresh)
            # Rows of one subject follow each other, and one is looked up for all.
            begins = values.ne_missing(values.shift(1)).to_numpy().copy()
            begins[:1] = True
            known[fresh] = names.of(values.filter(pl.Series(begins)))[np.cumsum(begins) - 1]
        return known[rows]

    def _place(self, total: Total, rows: Ints, owners: Ints) -> tuple[Space, Ints]:
        if not total.key:
            return self.state.subjects, owners
        space = self.state.families[total.key]
        return space, space.number(pair_codes(owners, self._numbers(total.key, rows)))

    def _extreme(self, total: Total, space: Space, place: Ints, rows: Ints) -> None:
        """Take further rows into a first, last, least or greatest value."""
        column, values = space[total.name], self._column(total.field or "at")[rows]
        if total.kind in ("last", "max"):
            np.maximum.at(column, place, values)
            return
        column[place[column[place] == NONE]] = -NONE
        np.minimum.at(column, place, values)

    def _without(self, total: Total, space: Space, place: Ints, rows: Ints, counting: Flags) -> None:
        """Let rows go; what is left is found among the rows that count, or by time where not all of them are here."""
        column = space[total.name]
        if not self.whole:
            ended = column[place] <= self._column("at")[rows]
            column[place[ended]] = NONE
            return
        again = np.unique(place)
        column[again] = NONE
        left = np.flatnonzero(counting)
        _, places = self._place(total, left, self._numbers("subject", left))
        kept = np.isin(places, again)
        self._extreme(total, space, places[kept], left[kept])
