"""Cohorts that are true from an instant on, of customers and of visitors, day by day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import Day, days_between
from pipelines.cohorts.instants.days import Held
from pipelines.cohorts.instants.evaluate import Source, evaluate, parts_shown
from pipelines.cohorts.language.matches import Matches, holds
from pipelines.cohorts.language.order import in_order
from pipelines.cohorts.language.rules import Cohort, Left, Member, Then, Without, leaves
from pipelines.cohorts.orders import ORDER, RETURN
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.sessions import with_sessions
from pipelines.cohorts.streams.visitors import TABLES, Visitors
from pipelines.config import Tenant
from pipelines.signals.demand import micros
from pipelines.signals.units import DAY

#: A session is taken to begin at most so long before a view in it.
SESSION = timedelta(days=1)
_SESSION_FIELDS = {"session_products", "session_repeats", "session_adds"}


def of_customers(definitions: Mapping[str, Cohort], known: Customers) -> list[Held]:
    """When customers are in the cohorts of theirs that are evaluated by instant; families one cohort per key."""
    chosen = [each for each in definitions.values() if each.subject == "customer" and each.evaluate == "instant"]
    horizon = micros(known.last.end)

    def source(stream: str, fields: set[str], conditions: Matches) -> pl.DataFrame:
        return known.rows(stream, fields).filter(holds(conditions))

    return _held(chosen, lambda cohort: source, horizon)


def of_visitors(tenant: Tenant, definitions: Mapping[str, Cohort], days: Sequence[Day]) -> list[Held]:
    """When visitors are in the cohorts of theirs that are evaluated by instant, but carts, on some days in a row."""
    chosen = [
        each
        for each in definitions.values()
        if each.subject == "visitor" and each.evaluate == "instant" and not each.of_cart
    ]
    if not chosen:
        return []
    source = _VisitorRows(tenant, days, {each.id: lookback(each) for each in chosen})
    return _held(chosen, source.of, micros(days[-1].end))


def _held(chosen: Sequence[Cohort], source: Callable[[Cohort], Source], horizon: int) -> list[Held]:
    times: dict[str, pl.DataFrame] = {}
    found = []
    for cohort in in_order(chosen):
        parts, rows = evaluate(cohort, source(cohort), times, horizon)
        times[cohort.id] = rows
        if cohort.for_each:
            found += [
                Held(f"{cohort.id}:{key}", rows.filter(pl.col("key") == key).with_columns(pl.lit("").alias("key")))
                for key in rows["key"].unique().sort()
            ]
        else:
            found.append(Held(cohort.id, rows, parts_shown(cohort), parts))
    return found


def lookback(cohort: Cohort) -> int | None:
    """How long before an instant something that decides it may have happened, in microseconds; None: ever."""
    longest = 0
    for leaf in leaves(cohort.rule):
        if isinstance(leaf, Without):
            if not cohort.ttl:
                return None
            longest = max(longest, cohort.param(leaf.within), cohort.param(cohort.ttl))
        elif isinstance(leaf, Then):
            if leaf.lasts:
                longest = max(longest, cohort.param(leaf.lasts))
            elif leaf.within and leaf.lasts_after:
                longest = max(longest, cohort.param(leaf.within) + cohort.param(leaf.lasts_after))
            else:
                return None
        elif not isinstance(leaf, Member | Left):
            return None
    return longest


@dataclass
class _VisitorRows:
    """Rows of visitors' streams for some days, with what lies before as far as each cohort looks back."""

    tenant: Tenant
    days: Sequence[Day]
    back: Mapping[str, int | None]

    def __post_init__(self) -> None:
        self._visitors = Visitors(self.tenant)
        known = sorted({day for name in ("visitor_acts", "visitor_orders") for day in self.tenant.lake.days(name)})
        self._first = known[0] if known else self.days[0].date

    def of(self, cohort: Cohort) -> Source:
        """Source of rows for one cohort."""
        back = self.back[cohort.id]
        first = self._first
        if back is not None:
            first = max(first, self.days[0].date - timedelta(days=-(-back // DAY) + 1))
        dates = days_between(first, self.days[-1].date)

        def source(stream: str, fields: set[str], conditions: Matches) -> pl.DataFrame:
            if stream == "crossing":
                return _crossings(self.tenant, dates).filter(holds(conditions))
            return pl.concat([self._rows(stream, fields, each).filter(holds(conditions)) for each in dates])

        return source

    def _rows(self, stream: str, fields: set[str], day: date) -> pl.DataFrame:
        plain = fields - _SESSION_FIELDS
        if plain == fields:
            rows = self._visitors.rows(stream, fields, day, day)
        else:
            rows = with_sessions(self._visitors, day, self._visitors.rows(stream, plain | {"session_id"}, day, day))
        told = [pl.lit(cause, dtype=pl.Int32).alias(name) for name, cause in (("came", ORDER), ("went", RETURN))]
        return rows.with_columns(told).select(
            "subject", "at", "since", "until", "weight", "came", "went", *sorted(fields)
        )


def _crossings(tenant: Tenant, days: Sequence[date]) -> pl.DataFrame:
    rows = tenant.lake.scan("signal_crossings", days).filter(
        pl.col("suppressed_by").is_null() & pl.col("place").is_null()
    )
    return rows.select(
        pl.col("effective_at").dt.epoch("us").alias("at"),
        pl.col("signal_id").alias("signal"),
        pl.col("subject").alias("product_id"),
        "from_state",
        "to_state",
    ).collect()


def inputs(definitions: Mapping[str, Cohort]) -> list[str]:
    """Tables with partitions by day that these cohorts of visitors may read, sorted."""
    return sorted({table for tables in TABLES.values() for table in tables})
