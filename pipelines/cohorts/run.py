"""A range of days in one pass: the rows of every cohort of a set of definitions, day by day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from pipelines.ahead import Later, ahead
from pipelines.calendar import Day, day_of
from pipelines.cohorts import order_day, tables
from pipelines.cohorts.by_instant import of_customers, of_visitors, published
from pipelines.cohorts.cart_signals import Opened, with_top_signals
from pipelines.cohorts.instants.days import Held, cut
from pipelines.cohorts.instants.memberships import inside
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.links import linked_at, linked_each, spans
from pipelines.cohorts.result import Result, in_order, keyed
from pipelines.cohorts.stateful import Setup, StatefulDay, stateful_days, stretches
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.config import Tenant
from pipelines.signals.chain import CHECKPOINT_DAYS
from pipelines.signals.demand import micros
from pipelines.signals.strongest import Published, tenant_ranking
from pipelines.storage.lake import Lake
from pipelines.storage.pinned import Pinned


@dataclass(frozen=True)
class DayTables:
    """Published rows of one day, without the date."""

    membership: pl.DataFrame
    transitions: pl.DataFrame
    sizes: pl.DataFrame
    suppressed: pl.DataFrame


def results(
    tenant: Tenant,
    definitions: Mapping[str, Cohort],
    days: Sequence[date],
    *,
    state: Path | None = None,
    progress: Callable[[date], None] | None = None,
) -> Iterator[tuple[date, DayTables]]:
    """Rows of each wanted day, in order; state files are written on the way.

    Args:
        tenant: whose facts.
        definitions: cohorts by id; those that a rule names are among them.
        days: tenant days.
        state: folder of the state; the tenant's own where not given.
        progress: told each day that was reached, wanted or on the way.
    """
    wanted = sorted(set(days))
    last = day_of(wanted[-1], tenant.zone)
    known = Customers(tenant, last)
    links = identity_links(tenant.lake)
    sides = {kind: spans(links, kind, known.merges) for kind in ("visitor", "customer")}
    held = Later[Sequence[Held]](lambda: of_customers(definitions, known))
    setup = Setup(
        tenant, definitions, state or tenant.state / "cohorts", sides["visitor"], known, held, Pinned(tenant.lake)
    )
    # The next days are computed while these are published, and the first of them while customers are looked at.
    coming = ahead(stateful_days(setup, wanted), CHECKPOINT_DAYS)
    orders = order_day.history(known.counted, order_day.money(known), {each.cohort_id: each for each in held()})
    day_rows = _Days(setup, sides, orders, wanted)
    for found in coming:
        if progress:
            progress(found.day.date)
        if found.day.date in day_rows.wanted:
            yield found.day.date, day_rows.tables(found)
        else:
            day_rows.pause()


class _Days:
    """Puts the parts of a day together."""

    def __init__(
        self, setup: Setup, links: Mapping[str, pl.DataFrame], orders: order_day.History, wanted: Sequence[date]
    ) -> None:
        self.setup, self.links, self.orders = setup, links, orders
        self.wanted = set(wanted)
        self.versions = {each.id: each.definition_version for each in setup.definitions.values()}
        self._single = {each.id for each in setup.definitions.values() if not each.for_each}
        customers = order_day.subjects(orders)
        self._of_customers = links["customer"].join(customers, on="subject", how="semi")
        self._before: dict[str, pl.DataFrame] = {}
        self._opened, self._signals = Opened(), Published(setup.lake)
        self._sizes: dict[str, int] | None = None
        self._visitors: dict[date, list[Held]] = {}
        self._ordered = sorted(self.wanted)
        self._acts = setup.tenant.lake.rows("visitor_acts")
        self.ranking = tenant_ranking(setup.tenant)

    def pause(self) -> None:
        """Days were left out: what was carried from the day before does not count."""
        self._sizes, self._before = None, {}

    def tables(self, found: StatefulDay) -> DayTables:
        """Published rows of a day.

        Raises:
            MurmurError: transitions do not add up.
        """
        day = found.day
        parts = [*self._carts(found), *self._ruled(found), *self._of_orders(day), *self._instants(found)]
        members = tables.by_cohort([tables.membership(part, kind, self.versions) for part, kind in parts])
        moves = tables.by_cohort(
            [tables.transitions(part, kind, self.setup.tenant.id, self.versions) for part, kind in parts]
        )
        sizes = tables.sizes(members, moves, self.versions, self._single)
        if self._sizes is None:
            self._sizes = {**found.sizes, **self._sizes_before(day)}
        self._sizes = tables.must_add_up(self._sizes, sizes, day.date)
        held = {kind: rows.held for kind, rows in found.rules.items()}
        return DayTables(members, moves, sizes, tables.suppressed(held, self.versions))

    def _sizes_before(self, day: Day) -> dict[str, int]:
        start = micros(day.start)
        inside = (pl.col("start") < start) & (pl.col("end") >= start)
        every = [*self.setup.held(), *self._looked_back(day)]
        return {each.cohort_id: each.times.filter(inside).height for each in every}

    def _carts(self, found: StatefulDay) -> list[tuple[Result, str]]:
        if not found.carts:
            return []
        return [(with_top_signals(found.carts, self._signals, found.day, self.ranking, self._opened), "visitor")]

    def _ruled(self, found: StatefulDay) -> list[tuple[Result, str]]:
        parts = []
        for kind, rows in found.rules.items():
            parts.append((self._linked(Result(rows.moved, rows.members), self.links[kind], found.day), kind))
        return parts

    def _of_orders(self, day: Day) -> list[tuple[Result, str]]:
        parts = []
        for key, held in self.orders.held.items():
            result = order_day.one_day(self.orders, held, day, self._before.get(key))
            result = replace(result, members=keyed(result.members, self.setup.tenant.id))
            self._before[key] = result.members.filter("is_member")
            parts.append((self._linked(result, self._of_customers, day), "customer"))
        return parts

    def _looked_back(self, day: Day) -> list[Held]:
        """Visitors' cohorts by instant that look back, found for several of the wanted days at once."""
        if day.date not in self._visitors:
            at = self._ordered.index(day.date)
            dates = next(stretches(_in_a_row(self._ordered[at:]), self._acts, self._ordered[-1]))
            days = [day_of(each, self.setup.tenant.zone) for each in dates]
            source = Visitors(self.setup.tenant, self.setup.lake)
            found = of_visitors(source, self.setup.definitions, days, self._began(days[0]))
            self._visitors = dict.fromkeys(dates, found)
        return self._visitors[day.date]

    def _began(self, day: Day) -> dict[str, pl.DataFrame] | None:
        """Since when visitors are in who are when a day begins: by the days before it, else by what is published."""
        before = day.date - timedelta(days=1)
        if before in self._visitors:
            return {each.cohort_id: inside(each, micros(day.start)) for each in self._visitors[before]}
        return published(self.setup.lake, self.setup.definitions, before)

    def _instants(self, found: StatefulDay) -> list[tuple[Result, str]]:
        parts, day = [], found.day
        for held in [*found.held, *self._looked_back(day)]:
            moved, members = cut(held, day)
            result = Result(moved, keyed(members, self.setup.tenant.id))
            parts.append((self._linked(result, self.links["visitor"], day), "visitor"))
        return parts

    def _linked(self, result: Result, links: pl.DataFrame, day: Day) -> Result:
        """Rows with who the subject is linked to, sorted by cohort and subject."""
        members = linked_at(in_order(result.members), links, micros(day.end))
        moved = result.transitions.sort("cohort_id", "subject", "at", "direction")
        return Result(linked_each(moved, links), members)


def identity_links(lake: Lake) -> pl.DataFrame:
    """``links.LINKS``: every link between a visitor and a customer."""
    rows = lake.scan("identity_links").select(
        "flockr_vid", "customer_id", pl.col("occurred_at").dt.epoch("us").alias("linked_at")
    )
    return rows.drop_nulls().collect()


def _in_a_row(days: Sequence[date]) -> list[date]:
    """The days from the first on that follow each other."""
    return [day for place, day in enumerate(days) if day - days[0] == timedelta(days=place)]
