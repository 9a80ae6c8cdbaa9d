"""Day rules of a tenant: visitors' and customers', with the streams they read and the state they leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.calendar import Day, day_of, days_between
from pipelines.cohorts.daily.changes import CustomerSource, VisitorSource
from pipelines.cohorts.daily.rules import DayRows, DayRules
from pipelines.cohorts.daily.state import State
from pipelines.cohorts.daily.totals import gap_streams, streams_used
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.streams import customers
from pipelines.cohorts.streams import visitors as visitor_streams
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.config import Tenant
from pipelines.signals.chain import Chain
from pipelines.storage.hashing import logical_sha256

#: Changes when the columns of the state or their meaning do.
LAYOUT = "2"
KINDS = ("visitor", "customer")


@dataclass
class DaySide:
    """Day rules of both kinds of subject.

    Attributes:
        rules: kind -> its rules; a kind without day rules is not there.
        first: first day with facts.
    """

    tenant: Tenant
    rules: dict[str, DayRules]
    first: date
    known: Customers
    visitors: Visitors
    _sources: dict[str, VisitorSource | CustomerSource] = field(default_factory=dict)

    def __post_init__(self) -> None:
        last = self.known.last.date
        self._sources["visitor"] = VisitorSource(self.visitors, self.first)
        begin = min([self.first, *self.tenant.lake.days("customer_orders")])
        days = [day_of(each, self.tenant.zone) for each in days_between(begin, last)]
        self._sources["customer"] = CustomerSource(self.known, days)

    def begin(self) -> None:
        """Begin with nothing."""
        for rules in self.rules.values():
            rules.begin(State())

    def load(self, chain: Chain, day: date) -> None:
        """Go on from the stored state of a day."""
        for kind, rules in self.rules.items():
            frames = {name: chain.load(day, f"{kind}-{name}") for name in part_names(rules)}
            rules.begin(State())
            rules.state.restore(frames)

    def save(self, chain: Chain, day: date) -> None:
        """Keep the state of a day."""
        for kind, rules in self.rules.items():
            for name, frame in rules.state.stored().items():
                chain.save(day, f"{kind}-{name}", frame)

    def parts(self) -> list[str]:
        """Names of the parts of the stored state."""
        return [f"{kind}-{name}" for kind, rules in self.rules.items() for name in part_names(rules)]

    def advance(
        self, day: Day, members: Mapping[str, Mapping[str, pl.Series]], *, show: bool = True
    ) -> dict[str, DayRows]:
        """Rows of the next day, by kind.

        Args:
            day: the day.
            members: kind -> cohorts that are not day rules -> their members at the end of the day.
            show: whether the rows are wanted; else they are empty.
        """
        found = {}
        for kind, rules in self.rules.items():
            found[kind] = rules.advance(day, self._sources[kind], members.get(kind, {}), show=show)
        return found


def part_names(rules: DayRules) -> list[str]:
    """Names of the frames of a state with these rules."""
    empty = State()
    empty.have(rules.totals)
    for cohort in rules.cohorts:
        empty.family(cohort.for_each or "")
    return sorted(empty.stored())


def day_side(
    tenant: Tenant, definitions: Mapping[str, Cohort], first: date, known: Customers, visitors: Visitors
) -> DaySide:
    """The day rules among the definitions."""
    by_day = [cohort for cohort in definitions.values() if cohort.evaluate == "day"]
    rules = {
        kind: DayRules(found, tenant.id)
        for kind in KINDS
        if (found := [each for each in by_day if each.subject == kind])
    }
    return DaySide(tenant, rules, first, known, visitors)


def inputs(definitions: Mapping[str, Cohort]) -> list[str]:
    """Tables with partitions by day that the day rules read, sorted."""
    found: set[str] = set()
    for kind, tables in (("visitor", visitor_streams.TABLES), ("customer", customers.TABLES)):
        cohorts = [each for each in definitions.values() if each.evaluate == "day" and each.subject == kind]
        for stream, fields in streams_used(cohorts).items():
            found.update(tables[stream])
            if any(name.startswith("signal.") for name in fields):
                found.update(("signal_crossings", "signal_snapshots"))
        if any(gap_streams(each) for each in cohorts):
            found.update(("customer_orders", "order_lines"))
    return sorted(found - {"customer_merges"})


def seeds(tenant: Tenant, definitions: Mapping[str, Cohort]) -> dict[str, str]:
    """What the state depends on besides tables with partitions: definitions, and groups where a rule names them."""
    chosen = {each.id: each.definition_version for each in definitions.values() if each.evaluate == "day"}
    found = {**chosen, "day layout": LAYOUT} if chosen else {}
    if any(
        "group_id" in fields
        for fields in streams_used(
            [each for each in definitions.values() if each.evaluate == "day" and each.subject == "customer"]
        ).values()
    ):
        for table in ("groups_history", "outlets_history"):
            found[table] = logical_sha256(tenant.lake.read(table))
    return found
