"""Visitors' cohorts of sequences, day by day: each day's events are read once, and what they may lead to is carried.

A cohort whose rule compares numbers or names other cohorts is not among them; those look back, see ``by_instant``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import Day, days_between, local_date
from pipelines.cohorts.instants.days import Held
from pipelines.cohorts.instants.evaluate import Source, evaluate
from pipelines.cohorts.instants.memberships import held_of, inside, with_begin
from pipelines.cohorts.instants.sequences import WAITING, Carry
from pipelines.cohorts.instants.truth import TIMES
from pipelines.cohorts.language.matches import Matches
from pipelines.cohorts.language.rules import Cohort, Then, Without, leaves
from pipelines.cohorts.orders import ORDER, RETURN
from pipelines.cohorts.streams.sessions import with_sessions
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.signals.chain import Chain
from pipelines.signals.demand import micros

#: Changes when the columns of what is carried or their meaning do.
LAYOUT = "1"
_LEAF = {"cohort": pl.String, "leaf": pl.Int64}
_STORED = {
    "held": {**_LEAF, **TIMES},
    "waiting": {**_LEAF, **WAITING},
    "began": {"cohort": pl.String, "cohort_id": pl.String, "subject": pl.String, "began": pl.Int64},
}
#: Tables with partitions by day that rules of sequences read.
INPUTS = ("signal_crossings", "signal_snapshots", "visitor_acts", "visitor_orders", "visitor_purchases")
#: Names of the parts of the stored state.
PARTS = tuple(f"instants-{name}" for name in _STORED)
_TOLD = [pl.lit(cause, dtype=pl.Int32).alias(name) for name, cause in (("came", ORDER), ("went", RETURN))]


def is_carried(cohort: Cohort) -> bool:
    """Whether a cohort is of visitors and of sequences alone."""
    parts = leaves(cohort.rule)
    of_visitors = cohort.subject == "visitor" and cohort.evaluate == "instant"
    return of_visitors and not cohort.of_cart and all(isinstance(leaf, Without | Then) for leaf in parts)


@dataclass
class Carried:
    """Cohorts of sequences at the end of a day.

    Attributes:
        cohorts: those that are carried.
        visitors: their streams; the tables of the day are kept by whoever made them.
    """

    cohorts: Sequence[Cohort]
    visitors: Visitors
    _carries: dict[str, dict[int, Carry]] = field(default_factory=dict)
    _began: dict[str, dict[str, pl.DataFrame]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cohort in self.cohorts:
            self._carries[cohort.id] = {place: Carry() for place, _ in enumerate(leaves(cohort.rule))}
            self._began[cohort.id] = {}

    def advance(self, day: Day) -> list[Held]:
        """When visitors are in on the next day; nothing is said of what ended before it."""
        begin, end = micros(day.start), micros(day.end)
        found = []
        for cohort in self.cohorts:
            carries = self._carries[cohort.id]
            for carry in carries.values():
                carry.begin, carry.end = begin, end
            parts, rows = evaluate(cohort, self._source(cohort, day), {}, end, carries)
            known = self._began[cohort.id]
            none = pl.DataFrame(schema={"subject": pl.String, "began": pl.Int64})
            held = [with_begin(each, known.get(each.cohort_id, none), begin) for each in held_of(cohort, parts, rows)]
            self._began[cohort.id] = {each.cohort_id: inside(each, end) for each in held}
            found += held
        return found

    def _source(self, cohort: Cohort, day: Day) -> Source:
        first = _reach(cohort, day, self.visitors)

        def rows(stream: str, fields: set[str], conditions: Matches) -> pl.DataFrame:
            if stream == "crossing":
                # What happens at the very end of a day is of the next one.
                return self.visitors.crossings([day.date - timedelta(days=1), day.date], conditions)
            return self._on(days_between(first, day.date), stream, fields, conditions)

        def sessions(asked: pl.DataFrame) -> pl.DataFrame:
            days = days_between(first - timedelta(days=1), day.date)
            views, adds = (self._on(days, act, {"session_id", "product_id"}, ()) for act in ("view", "add"))
            return with_sessions(asked, views, adds, self.visitors.tenant.zone)

        return Source(rows, sessions)

    def _on(self, days: Iterable[date], stream: str, fields: set[str], conditions: Matches) -> pl.DataFrame:
        found = [self.visitors.matching(stream, fields, each, conditions) for each in days]
        return pl.concat(found).with_columns(_TOLD)

    def sizes(self) -> dict[str, int]:
        """Members of each cohort at the end of the last day."""
        return {key: rows.height for began in self._began.values() for key, rows in began.items()}

    def save(self, chain: Chain, day: date) -> None:
        """Keep the state of a day."""
        for name, schema in _STORED.items():
            frames = [pl.DataFrame(schema=schema)]
            for cohort in self.cohorts:
                own = pl.lit(cohort.id).alias("cohort")
                if name == "began":
                    for key, rows in self._began[cohort.id].items():
                        frames.append(rows.select(own, pl.lit(key).alias("cohort_id"), "subject", "began"))
                    continue
                for place, carry in self._carries[cohort.id].items():
                    leaf = pl.lit(place, dtype=pl.Int64).alias("leaf")
                    frames.append(getattr(carry, name).select(own, leaf, *list(schema)[2:]))
            chain.save(day, f"instants-{name}", pl.concat(frames).sort(list(schema)))

    def load(self, chain: Chain, day: date) -> None:
        """Go on from the stored state of a day."""
        for name, schema in _STORED.items():
            stored = chain.load(day, f"instants-{name}")
            for (cohort, part), rows in stored.partition_by(list(schema)[:2], as_dict=True).items():
                if name == "began":
                    self._began[str(cohort)][str(part)] = rows.select("subject", "began")
                else:
                    setattr(self._carries[str(cohort)][int(str(part))], name, rows.drop("cohort", "leaf"))


def _reach(cohort: Cohort, day: Day, visitors: Visitors) -> date:
    """First day of which an event may still decide something that begins on a day."""
    waits = [cohort.param(leaf.within) for leaf in leaves(cohort.rule) if isinstance(leaf, Without)]
    if not waits:
        return day.date
    at = pl.DataFrame({"at": [day.start - timedelta(microseconds=max(waits))]})
    found: date = at.select(local_date(pl.col("at"), visitors.tenant.zone)).item()
    return found
