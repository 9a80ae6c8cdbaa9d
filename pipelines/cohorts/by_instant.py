"""Cohorts that are true from an instant on, of customers and of visitors, day by day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import Day, days_between
from pipelines.cohorts.instants.carried import is_carried
from pipelines.cohorts.instants.days import Held
from pipelines.cohorts.instants.evaluate import Source, evaluate
from pipelines.cohorts.instants.memberships import held_of, with_begin
from pipelines.cohorts.language.matches import Matches, holds
from pipelines.cohorts.language.order import in_order
from pipelines.cohorts.language.rules import Cohort, Left, Member, Then, Without, leaves
from pipelines.cohorts.orders import ORDER, RETURN
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.sessions import with_sessions
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.signals.demand import micros
from pipelines.signals.units import DAY
from pipelines.storage.pinned import Pinned

#: Of a session the day before that of a view is looked at, and a day may be an hour longer.
SESSION = timedelta(days=2)


def of_customers(definitions: Mapping[str, Cohort], known: Customers) -> list[Held]:
    """When customers are in the cohorts of theirs that are evaluated by instant; families one cohort per key."""
    chosen = [each for each in definitions.values() if each.subject == "customer" and each.evaluate == "instant"]
    horizon = micros(known.last.end)

    def rows(stream: str, fields: set[str], conditions: Matches) -> pl.DataFrame:
        return known.rows(stream, fields).filter(holds(conditions))

    return _held(chosen, lambda cohort: Source(rows), horizon)


def of_visitors(
    visitors: Visitors,
    definitions: Mapping[str, Cohort],
    days: Sequence[Day],
    began: Mapping[str, pl.DataFrame] | None = None,
) -> list[Held]:
    """When visitors are in the cohorts of theirs that are evaluated by instant, but carts, on some days in a row.

    Args:
        visitors: their streams.
        definitions: every cohort by id.
        days: the days.
        began: cohort -> ``subject`` and ``began`` of those who are in when the first day begins. A membership may be
            made of many parts, so that what decides who is in says nothing of how long; without this it is found from
            everything that ever happened.
    """
    chosen = visitors_cohorts(definitions)
    if not chosen:
        return []
    found = _held(chosen, VisitorRows(visitors, days, whole=began is None).of, micros(days[-1].end))
    if began is None:
        return found
    return [with_begin(held, began.get(held.cohort_id), micros(days[0].start)) for held in found]


def published(lake: Pinned, definitions: Mapping[str, Cohort], day: date) -> dict[str, pl.DataFrame] | None:
    """``began`` for ``of_visitors`` as the memberships of a day say; None where they are not all there."""
    wanted = {each.id: each.definition_version for each in visitors_cohorts(definitions)}
    sizes = lake.scan("cohort_sizes", [day]).select("cohort_id", "definition_version").collect()
    if not set(wanted.items()) <= set(sizes.iter_rows()):
        return None
    rows = lake.scan("cohort_membership", [day]).filter(
        pl.col("is_member") & pl.col("definition_version").is_in(sorted(wanted.values()))
    )
    members = rows.select("cohort_id", "subject", pl.col("entered_at").dt.epoch("us").alias("began")).collect()
    return {key: members.filter(pl.col("cohort_id") == key).drop("cohort_id") for key in wanted}


def visitors_cohorts(definitions: Mapping[str, Cohort]) -> list[Cohort]:
    """Cohorts of visitors that are evaluated by instant and look back: those of carts and sequences are carried."""
    return [
        each
        for each in definitions.values()
        if each.subject == "visitor" and each.evaluate == "instant" and not each.of_cart and not is_carried(each)
    ]


def _held(chosen: Sequence[Cohort], source: Callable[[Cohort], Source], horizon: int) -> list[Held]:
    times: dict[str, pl.DataFrame] = {}
    found = []
    for cohort in in_order(chosen):
        parts, times[cohort.id] = evaluate(cohort, source(cohort), times, horizon)
        found += held_of(cohort, parts, times[cohort.id])
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


class VisitorRows:
    """Rows of visitors' streams for some days, with what lies before as far as each cohort looks back."""

    def __init__(self, visitors: Visitors, days: Sequence[Day], *, whole: bool = False) -> None:
        self._visitors, self._days, self._whole = visitors, days, whole
        known = [day for name in ("visitor_acts", "visitor_orders") for day in visitors.lake.days(name)[:1]]
        self._first = min([*known, days[0].date])
        self._kept: dict[tuple[object, ...], pl.DataFrame] = {}

    def of(self, cohort: Cohort) -> Source:
        """Source of rows for one cohort."""
        back = None if self._whole else lookback(cohort)
        first = self._first
        if back is not None:
            first = max(first, self._days[0].date - timedelta(days=-(-back // DAY)) - SESSION)
        dates = days_between(first, self._days[-1].date)

        def rows(stream: str, fields: set[str], conditions: Matches) -> pl.DataFrame:
            key = (stream, first, conditions, *sorted(fields))
            if key not in self._kept:
                self._kept[key] = self._read(stream, fields, conditions, dates)
            return self._kept[key]

        def sessions(asked: pl.DataFrame) -> pl.DataFrame:
            views, adds = (rows(act, {"session_id", "product_id"}, ()) for act in ("view", "add"))
            return with_sessions(asked, views, adds, self._visitors.tenant.zone)

        return Source(rows, sessions)

    def _read(self, stream: str, fields: set[str], conditions: Matches, dates: Sequence[date]) -> pl.DataFrame:
        if stream == "crossing":
            return self._visitors.crossings(dates, conditions)
        told = [pl.lit(cause, dtype=pl.Int32).alias(name) for name, cause in (("came", ORDER), ("went", RETURN))]
        return self._visitors.between(stream, fields, dates, conditions).with_columns(told)
