"""The step: a range of days in one pass over the facts, with the state in memory and one commit per table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.calendar import day_of, days_between, local_date
from pipelines.cohorts.daily.space import Names, pair_codes
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.config import Tenant
from pipelines.signals.chain import Chain, chain, is_checkpoint
from pipelines.signals.visitor_measures import Vector
from pipelines.step import Writers, publish
from pipelines.storage.hashing import subject_key
from pipelines.storage.lake import Commit
from pipelines.storage.pinned import Pinned
from pipelines.visitor_signals import buying, moves, rows, visiting
from pipelines.visitor_signals.buying import CustomerSide
from pipelines.visitor_signals.moves import Crossings
from pipelines.visitor_signals.resolve import Definitions, visitor_signals
from pipelines.visitor_signals.rows import Reading
from pipelines.visitor_signals.states import names
from pipelines.visitor_signals.visiting import VisitorSide

STEP = "visitor_signals"
OUTPUTS = (rows.TABLE, moves.TABLE)
INPUTS = (*visiting.TABLES, *buying.TABLES, "customer_merges")
#: Changes when the columns of the state or their meaning do.
LAYOUT = "2"


def run(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish ``visitor_signal_snapshots`` and ``visitor_signal_crossings`` of the days.

    Raises:
        UsageError: a definition is wrong.
        ContractError: a result violates its table; nothing is published.
    """

    def fill(writers: Writers) -> None:
        for day, snapshot, crossings in results(tenant, visitor_signals(tenant), days):
            writers[rows.TABLE].put(day, snapshot)
            writers[moves.TABLE].put(day, crossings)

    return publish(tenant, OUTPUTS, fill)


@dataclass
class Sides:
    """Visitors and customers side by side, and the values of the day before.

    Attributes:
        before: what was read at the end of the last day.
    """

    definitions: Definitions
    visitors: VisitorSide
    customers: CustomerSide
    before: list[Reading]

    @property
    def subjects(self) -> Mapping[str, Names]:
        """Numbered subjects by kind."""
        return {visiting.KIND: self.visitors.state.subjects, buying.KIND: self.customers.state.subjects}

    def parts(self) -> dict[str, pl.DataFrame]:
        """The state as frames."""
        before = rows.stored(self.before, self.subjects)
        return {**self.visitors.parts(), **self.customers.parts(), "readings": before}

    def restore(self, links: Chain, day: date) -> None:
        """Go on from the stored state of a day."""
        parts = {name: links.load(day, name) for name in self.parts()}
        for side, kind in ((self.visitors, visiting.KIND), (self.customers, buying.KIND)):
            side.restore({name: frame for name, frame in parts.items() if _belongs(name, kind)})
        self.before = [*self._earlier(parts["readings"])]

    def _earlier(self, frame: pl.DataFrame) -> Iterator[Reading]:
        for (signal_id, kind), some in frame.partition_by("signal_id", "kind", as_dict=True).items():
            found = self.definitions[str(signal_id)]
            state = (self.visitors if kind == visiting.KIND else self.customers).state
            owner = key = state.subjects.of(some["subject"])
            if isinstance(found.signal.measure, Vector) and found.cohort:
                key = pair_codes(owner, state.values[found.cohort.for_each or ""].of(some["item"]))
            order = key.argsort()
            top, under, code = (some[name].to_numpy()[order] for name in ("top", "under", "code"))
            yield Reading(found.id, found.version, str(kind), key[order], owner[order], top, under, code, names(found))


def _belongs(name: str, kind: str) -> bool:
    return name.startswith(f"{kind}-") or (kind == visiting.KIND and name.startswith(("carts-", "items-")))


def results(
    tenant: Tenant, definitions: Definitions, days: Sequence[date]
) -> Iterator[tuple[date, pl.DataFrame, pl.DataFrame]]:
    """Yield (day, snapshots, crossings) of every day, in order; state is saved on the way.

    The rows are those of the tables without the date.
    """
    wanted = sorted(set(days))
    last = wanted[-1]
    known = Customers(tenant, day_of(last, tenant.zone))
    links = _chain(tenant, definitions, known, last)
    sides = _sides(tenant, definitions, known, min(links.first or wanted[0], wanted[0]), last)
    needed = list(sides.parts())
    resumed = links.resume(wanted[0], lambda day: links.has(day, needed))
    if resumed:
        sides.restore(links, resumed)
    shown = set(wanted)
    for each in links.plan(wanted, resumed):
        found = Crossings(tenant.id)
        day = day_of(each, tenant.zone)
        before = {reading.signal_id: reading for reading in sides.before}
        now = [each for side in (sides.visitors, sides.customers) for each in side.advance(day, found, before)]
        if each in shown:
            yield each, rows.snapshot(now, sides.before, sides.subjects), found.rows()
        sides.before = now
        if is_checkpoint(each, last):
            for name, frame in sides.parts().items():
                links.save(each, name, frame)


def _sides(tenant: Tenant, definitions: Definitions, known: Customers, first: date, last: date) -> Sides:
    by_kind = {
        kind: {key: each for key, each in definitions.items() if each.signal.subject == kind}
        for kind in (visiting.KIND, buying.KIND)
    }
    visitors = VisitorSide(by_kind[visiting.KIND], Visitors(tenant, Pinned(tenant.lake)), first)
    days = [day_of(each, tenant.zone) for each in days_between(first, last)]
    return Sides(definitions, visitors, CustomerSide(by_kind[buying.KIND], known, days), [])


def _chain(tenant: Tenant, definitions: Definitions, known: Customers, last: date) -> Chain:
    """The chain of states up to a day."""
    versions = {key: each.version for key, each in definitions.items()}
    versions |= {"currency": tenant.config.currency, "layout": LAYOUT}
    tables = [*visiting.TABLES, *buying.TABLES]
    filled = [day for table in tables for day, number in tenant.lake.rows(table).items() if day and number]
    merged = _merges_by_day(tenant, known, min(filled)) if filled else {}
    return chain(tenant.state / STEP, tenant.lake, tables, versions, last, lambda day: merged.get(day, ""))


def _merges_by_day(tenant: Tenant, known: Customers, first: date) -> dict[date, str]:
    """What differs with the merges that take effect on each day; those of before the first day count as of it."""
    begin = pl.lit(day_of(first, tenant.zone).start).cast(pl.Datetime("us", "UTC"))
    day = local_date(pl.max_horizontal("effective_from", begin), tenant.zone).alias("day")
    said = pl.concat_str("external_id", pl.col("effective_from").to_physical(), "customer_id", separator="\x1f")
    weighed = known.merges.select(day, said.alias("weight")).with_columns(subject_key("weight"))
    return {each: str(total) for each, total in weighed.group_by("day").agg(pl.col("weight").sum()).iter_rows()}
