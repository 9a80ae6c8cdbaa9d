"""Visitors' signals day by day: what is carried from one day to the next, and what each day reads and finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipelines.calendar import Day, day_of, days_between
from pipelines.cohorts.daily.advance import advance as advance_totals
from pipelines.cohorts.daily.changes import VisitorSource
from pipelines.cohorts.daily.space import Ints
from pipelines.cohorts.daily.state import NONE, State
from pipelines.cohorts.daily.totals import Total
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.facts import cart_presence
from pipelines.facts.cart_presence import Carts
from pipelines.signals import strongest
from pipelines.signals.demand import grid, micros
from pipelines.signals.machine import move
from pipelines.signals.machine import settle as settle_instants
from pipelines.signals.units import HOUR, MINUTE
from pipelines.signals.visitor_measures import Engagement, Intent, Journey, OfCohort, Strongest, Vector
from pipelines.visitor_signals import bands, basket, decay, engagement, intent, journey, shared
from pipelines.visitor_signals.acts import DayActs, Recent
from pipelines.visitor_signals.journey import Viewed
from pipelines.visitor_signals.moves import Crossings
from pipelines.visitor_signals.resolve import Definitions, Resolved
from pipelines.visitor_signals.rows import Reading, reading

KIND = "visitor"
#: Tables with a partition a day that visitors' signals read.
TABLES = (
    "visitor_acts",
    "visitor_checkouts",
    "visitor_daily",
    "visitor_orders",
    "visitor_purchases",
    "cart_activity",
    "signal_snapshots",
    "signal_crossings",
)
_ONE = timedelta(days=1)
_KEPT = 2


def columns(definitions: Definitions) -> dict[str, int]:
    """Columns of visitors beside the totals, with the value of one who did nothing."""
    found = dict(journey.LAST)
    for each in of(definitions, Intent, Journey, Strongest):
        found |= bands.columns(each.id)
    for each in of(definitions, Engagement):
        found[engagement.column(each.signal)] = 0
    return found


def of(definitions: Definitions, *measures: type) -> list[Resolved]:
    """Signals with one of the measures."""
    return [each for each in definitions.values() if isinstance(each.signal.measure, measures)]


@dataclass
class VisitorSide:
    """Visitors' signals with their state.

    Attributes:
        definitions: of visitors.
        source: streams.
        first: first day with data.
        state: totals and columns by visitor.
        carts: open carts by the time of silence after which a cart is none.
        recent: acts of the newest days; not stored.
        viewed: by signal, what visitors viewed in its window; not stored.
    """

    definitions: Definitions
    source: Visitors
    first: date
    state: State = field(default_factory=State)
    carts: dict[int, Carts] = field(default_factory=dict)
    recent: Recent = field(default_factory=Recent)
    viewed: dict[str, Viewed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shown = of(self.definitions, OfCohort, Vector)
        named = {total.name: total for each in shown for total in shared.totals(each)}
        self.totals: list[Total] = [named[name] for name in sorted(named)]
        self._rows = VisitorSource(self.source, self.first)
        self.begin()

    def begin(self) -> None:
        """Begin with nothing."""
        self.state, self.recent, self.viewed = State(), Recent(), {}
        self.state.have(self.totals)
        for name, default in columns(self.definitions).items():
            self.state.subjects.column(name, default)
        self.carts = {forget: cart_presence.empty() for forget in basket.forgetting(self.definitions)}

    def parts(self) -> dict[str, pl.DataFrame]:
        """The state as frames."""
        found = {f"{KIND}-{name}": frame for name, frame in self.state.stored().items()}
        for place, carts in enumerate(self.carts.values()):
            found |= {f"carts-{place}": carts.carts, f"items-{place}": carts.items}
        return found

    def restore(self, parts: Mapping[str, pl.DataFrame]) -> None:
        """Go on from what ``parts`` gave."""
        self.begin()
        self.state.restore({name.removeprefix(f"{KIND}-"): frame for name, frame in parts.items()})
        for place, forget in enumerate(self.carts):
            self.carts[forget] = Carts(parts[f"carts-{place}"], parts[f"items-{place}"])

    def advance(self, day: Day, found: Crossings, before: Mapping[str, Reading]) -> list[Reading]:
        """Go to the end of the next day.

        Args:
            day: the day.
            found: is given what crossed.
            before: readings of the day before by signal.
        """
        acts, orders, today = self._read(day)
        advance_totals(self.state, self.totals, self._rows, day)
        space = self.state.subjects
        events = np.zeros(space.height, dtype=np.int64)
        np.add.at(events, *today)
        journey.note(space, acts, (space.of(orders["flockr_vid"]), orders["at"].to_numpy()))
        readings = [
            *self._intent(day, found),
            *self._engagement(day, events),
            *self._carts(day, orders, found),
            *(shared.single(each, KIND, self.state, micros(day.end) - 1) for each in of(self.definitions, OfCohort)),
            *(
                shared.vector(each, KIND, self.state, micros(day.end) - 1, before.get(each.id))
                for each in of(self.definitions, Vector)
            ),
        ]
        self._settle(day)
        return readings

    def _read(self, day: Day) -> tuple[DayActs, pl.DataFrame, tuple[Ints, Ints]]:
        """Acts, orders and counted events of a day; everybody in them has a number from here on."""
        for each in days_between(max(self.first, day.date - self._reach() * _ONE), day.date):
            self.recent.load(self.source, self.state.subjects, each)
        lake, space = self.source.lake, self.state.subjects
        rows = lake.scan("visitor_orders", [day.date])
        orders = rows.select("flockr_vid", pl.col("ordered_at").dt.epoch("us").alias("at")).collect()
        for ids in (orders["flockr_vid"], basket.visitors_of(lake, day.date)):
            space.of(ids)
        return self.recent.days[day.date], orders, self._events(day.date)

    def _events(self, day: date) -> tuple[Ints, Ints]:
        rows = self.source.lake.scan("visitor_daily", [day]).select("flockr_vid", "events").collect()
        return self.state.subjects.of(rows["flockr_vid"]), rows["events"].to_numpy()

    def _reach(self) -> int:
        """Days before a day whose acts are in memory."""
        days = [intent.reach(each.signal) for each in of(self.definitions, Intent)]
        # Once the views of a window are taken in, only those of the day are needed.
        days += [journey.days(each.signal) for each in of(self.definitions, Journey) if each.id not in self.viewed]
        return max([0, *days])

    def _intent(self, day: Day, found: Crossings) -> list[Reading]:
        space, hours, readings = self.state.subjects, grid(day), []
        for each in of(self.definitions, Intent):
            signal = each.signal
            assert isinstance(signal.measure, Intent)  # noqa: S101
            width = len(decay.table(signal.param(signal.measure.half_life))) * MINUTE
            acts = intent.weighed(signal, list(self.recent.days.values()), (hours[0] - 1) * HOUR - width)
            names = bands.codes(signal)
            for hour in intent.through_the_day(signal, space, acts, hours):
                before, after = ((score, np.full(len(score), decay.WHOLE)) for score in (hour.before, hour.after))
                bound = bands.thresholds(signal, hour.moves)
                found.add(each, space, hour.moves, names, hour.hour * HOUR, before, after, bound)
            owner, score = intent.scores(signal, acts, hours[-1])
            top = np.zeros(space.height, dtype=np.int64)
            top[owner] = score
            code = space[f"{each.id}_state"]
            shown = (top > 0) | (code != 0)
            readings.append(reading(each.id, each.version, KIND, shown, top, decay.WHOLE, code, names))
        return readings

    def _engagement(self, day: Day, events: Ints) -> list[Reading]:
        space, first = self.state.subjects, self.state.first_day
        known = day.date.toordinal() - first if first else 0
        readings = []
        for each in of(self.definitions, Engagement):
            readings.append(engagement.measured(each, space, events, known))
            gone = day.date - (engagement.baseline(each.signal) - 1) * _ONE
            # The day that leaves is read again: whoever is in it has a number still.
            leaving = self._leaving(gone - _ONE)
            engagement.note(each.signal, space, events, leaving)
        return readings

    def _leaving(self, day: date) -> tuple[Ints, Ints]:
        rows = self.source.lake.scan("visitor_daily", [day]).select("flockr_vid", "events").collect()
        number = self.state.subjects.known(rows["flockr_vid"])
        kept = number >= 0
        return number[kept], rows["events"].to_numpy()[kept]

    def _carts(self, day: Day, orders: pl.DataFrame, found: Crossings) -> list[Reading]:
        """Signals that look into carts: the stage of the journey, and the strongest signal."""
        lake, space, readings = self.source.lake, self.state.subjects, []
        for forget, carts in self.carts.items():
            self.carts[forget] = basket.advance(carts, lake, orders, day, forget)
        inside = {forget: basket.held(carts, space) for forget, carts in self.carts.items()}
        for each in of(self.definitions, Journey):
            measure = each.signal.measure
            assert isinstance(measure, Journey)  # noqa: S101
            oldest = micros(day_of(day.date - (journey.days(each.signal) - 1) * _ONE, self.source.tenant.zone).start)
            carts_now = basket.owners(inside[each.signal.param(measure.forget)])
            there, code = journey.stages(each.signal, space, self._viewed(each, day, oldest), carts_now, oldest)
            names = journey.names(each.signal)
            now = self._move(each, code, day, names, found)
            none = np.zeros(space.height, dtype=np.int64)
            readings.append(reading(each.id, each.version, KIND, there | (now != 0), none, 0, now, names))
        for each in of(self.definitions, Strongest):
            measure = each.signal.measure
            assert isinstance(measure, Strongest)  # noqa: S101
            products = strongest.at_end(strongest.Published(lake), day, strongest.ranking(each.signal))
            now_top = basket.top(each, inside[each.signal.param(measure.forget)], products)
            code = np.zeros(space.height, dtype=np.int64)
            code[now_top.owner] = now_top.code
            self._move(each, code, day, basket.codes(each.signal), found)
            readings.append(now_top)
        return readings

    def _viewed(self, each: Resolved, day: Day, oldest: int) -> Viewed:
        days: Sequence[date] = [day.date]
        if each.id not in self.viewed:
            self.viewed[each.id] = Viewed()
            days = sorted(self.recent.days)
        for some in days:
            self.viewed[each.id].add(self.recent.days[some])
        self.viewed[each.id].forget(oldest)
        return self.viewed[each.id]

    def _move(self, each: Resolved, code: Ints, day: Day, names: Mapping[int, str], found: Crossings) -> Ints:
        """Move everybody to a state at the last instant of the day; the states after it."""
        space, at = self.state.subjects, micros(day.end) - 1
        moves = move(space, each.id, code, np.ones(space.height, dtype=np.bool_), at, each.signal)
        found.add(each, space, moves, names, at)
        return space[f"{each.id}_state"]

    def _settle(self, day: Day) -> None:
        """Forget what no later day can tell apart."""
        space = self.state.subjects
        for each in [space, *self.state.families.values()]:
            each["changed"][:] = NONE
        for each_signal in of(self.definitions, Intent, Journey, Strongest):
            name = f"{each_signal.id}_changed"
            settle_instants(space, name, micros(day.end) - 1, max(each_signal.signal.silence()))
        windows = [journey.days(each.signal) for each in of(self.definitions, Journey)]
        oldest = day.date - (max([1, *windows]) - 1) * _ONE
        journey.settle(space, micros(day_of(oldest, self.source.tenant.zone).start))
        self.recent.forget(day.date - self._reach() * _ONE)
        self.source.forget({day.date - timedelta(days=back) for back in range(_KEPT)})
