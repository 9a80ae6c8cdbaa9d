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
        frame = self.rows.frame[changed]
        owners = self.state.subjects.of(frame["subject"])
        space, place = self._place(total, frame, owners)
        space["changed"][place] = self.last
        if total.key:
            self.state.subjects["changed"][owners] = self.last
        if total.kind == "count":
            np.add.at(space[total.name], place, sign * frame["weight"].to_numpy())
        elif total.kind == "present":
            np.add.at(space[total.name], place, sign)
        elif total.kind == "sum":
            np.add.at(space[total.name], place, sign * frame[total.field].to_numpy())
        elif total.kind == "distinct":
            self._distinct(total, frame, owners, place, sign, space)
        else:
            self._extreme(total, space, place[: len(came)], frame[: len(came)])
            if len(went):
                self._without(total, space, place[len(came) :], frame[len(came) :], counting)

    def _place(self, total: Total, frame: pl.DataFrame, owners: Ints) -> tuple[Space, Ints]:
        if not total.key:
            return self.state.subjects, owners
        keys = self.state.values[total.key].of(frame[total.key])
        space = self.state.families[total.key]
        return space, space.number(pair_codes(owners, keys))

    def _distinct(self, total: Total, frame: pl.DataFrame, owners: Ints, place: Ints, sign: Ints, space: Space) -> None:
        pairs = self.state.distinct[total.name]
        base = place if total.key else owners
        numbers = pairs.number(pair_codes(base, self.state.values[total.field].of(frame[total.field])))
        touched, first = np.unique(numbers, return_index=True)
        before = pairs["rows"][touched] > 0
        np.add.at(pairs["rows"], numbers, sign)
        after = pairs["rows"][touched] > 0
        np.add.at(space[total.name], place[first], after.astype(np.int64) - before.astype(np.int64))

    def _extreme(self, total: Total, space: Space, place: Ints, rows: pl.DataFrame) -> None:
        """Take further rows into a first, last, least or greatest value."""
        column, values = space[total.name], rows[total.field or "at"].to_numpy()
        if total.kind in ("last", "max"):
            np.maximum.at(column, place, values)
            return
        column[place[column[place] == NONE]] = -NONE
        np.minimum.at(column, place, values)

    def _without(self, total: Total, space: Space, place: Ints, rows: pl.DataFrame, counting: Flags) -> None:
        """Let rows go; what is left is found among the rows that count, or by time where not all of them are here."""
        column = space[total.name]
        if not self.whole:
            ended = column[place] <= rows["at"].to_numpy()
            column[place[ended]] = NONE
            return
        again = np.unique(place)
        column[again] = NONE
        left = self.rows.frame.filter(pl.Series(counting))
        _, places = self._place(total, left, self.state.subjects.of(left["subject"]))
        kept = np.isin(places, again)
        self._extreme(total, space, places[kept], left.filter(pl.Series(kept)))
