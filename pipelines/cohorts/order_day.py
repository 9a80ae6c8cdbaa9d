"""One day of the order cohorts, cut out of their intervals over all time."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts import orders
from pipelines.cohorts.result import Result
from pipelines.cohorts.rules import Cohort, CountRule
from pipelines.signals.demand import micros
from pipelines.signals.units import DAY

YEAR = 365 * DAY
CONTEXT = ["order_count_365", "last_order_at", "days_since", "ltv_minor", "currency"]


@dataclass(frozen=True)
class History:
    """Orders up to the last day of a run, read once.

    Attributes:
        orders: what ``orders.counted_orders`` gave.
        money: what ``orders.paid`` gave.
        intervals: cohort -> its intervals.
        changes: cohort -> ``subject`` and the instants ``at`` from which on something of its rows differs, by instant.
    """

    orders: pl.DataFrame
    money: pl.DataFrame
    intervals: dict[str, pl.DataFrame]
    changes: dict[str, pl.DataFrame]


def history(rows: pl.DataFrame, cohorts: list[Cohort], horizon: int, merges: pl.DataFrame) -> History:
    """Prepare the order cohorts.

    Args:
        rows: ``customer_orders`` before ``horizon`` with ``at`` in microseconds.
        cohorts: count and gap cohorts.
        horizon: end of the last day, in microseconds.
        merges: ``customer_merges``; what they say from the horizon on changes nothing before it.
    """
    counted = orders.counted_orders(rows, merges)
    money = orders.paid(rows, merges)
    found = {cohort.id: orders.intervals(cohort, counted, horizon) for cohort in cohorts}
    changes = {cohort.id: _changes(counted, money, found[cohort.id], _window(cohort)) for cohort in cohorts}
    return History(counted, money, found, changes)


def subjects(known: History) -> pl.DataFrame:
    """``subject``: customers who are in one of the cohorts at any time."""
    none = pl.DataFrame(schema={"subject": pl.String})
    return pl.concat([none, *(rows.select("subject") for rows in known.intervals.values())]).unique()


def _window(cohort: Cohort) -> int:
    return cohort.param(cohort.rule.count.within) if isinstance(cohort.rule, CountRule) else YEAR


def _changes(counted: pl.DataFrame, money: pl.DataFrame, intervals: pl.DataFrame, window: int) -> pl.DataFrame:
    instants = (pl.col("since"), pl.col("at") + window, pl.col("until"))
    parts = [counted.select("subject", instant.alias("at")) for instant in instants]
    parts += [intervals.select("subject", at=edge) for edge in ("start", "end")]
    parts += [money.select("subject", at=edge) for edge in ("since", "until")]
    return pl.concat(parts).sort("at")


def one_day(known: History, cohort: Cohort, day: Day, before: pl.DataFrame | None = None) -> Result:
    """Transitions and members of one order cohort on a day, as ``Result``.

    Args:
        known: what ``history`` gave.
        cohort: a count or a gap of orders.
        day: the day.
        before: members at its start as the day before showed them; without them all are computed.
    """
    start, end = micros(day.start), micros(day.end)
    rows = known.intervals[cohort.id].filter((pl.col("start") < end) & (pl.col("end") >= start))
    if before is None:
        return _computed(known, cohort, rows, start, end)
    changes = known.changes[cohort.id]
    first, after = (int(changes["at"].search_sorted(instant)) for instant in (start, end))
    moving = changes.slice(first, after - first).select("subject").unique()
    moved = _computed(known, cohort, rows.join(moving, on="subject", how="semi"), start, end)
    resting = before.join(moving, on="subject", how="anti").with_columns(_days_since(pl.lit(end)))
    return Result(moved.transitions, pl.concat([resting.select(moved.members.columns), moved.members]))


def _days_since(at: pl.Expr) -> pl.Expr:
    return ((at - pl.col("last_order_at")) // DAY).alias("days_since")


def _computed(known: History, cohort: Cohort, rows: pl.DataFrame, start: int, end: int) -> Result:
    inside = pl.col("start") >= start
    entered = rows.filter(inside).select("subject", pl.col("start").alias("at"), caused_by="start_cause")
    exited = rows.filter(pl.col("end") < end).select("subject", pl.col("end").alias("at"), caused_by="end_cause")
    moved = pl.concat(
        [
            entered.with_columns(pl.lit("entered").alias("direction")),
            exited.with_columns(pl.lit("exited").alias("direction")),
        ]
    )
    newest = rows.sort("subject", "start").unique("subject", keep="last", maintain_order=True)
    stays = pl.col("end") >= end
    members = newest.select(
        "subject",
        stays.alias("is_member"),
        pl.col("start").alias("entered_at"),
        pl.when(stays).then(end).otherwise("end").alias("at"),
    )
    moments = pl.concat(
        [
            moved.select("subject", "at", pl.col("at").alias("seen_at")),
            members.filter("is_member").select("subject", "at", (pl.col("at") - 1).alias("seen_at")),
        ]
    ).unique()
    window = _window(cohort)
    context = orders.context(moments, known.orders, known.money, window)
    seen = moved.with_columns(pl.col("at").alias("seen_at"))
    transitions = seen.join(context, on=["subject", "at", "seen_at"], how="left")
    label = pl.lit(cohort.id).alias("cohort_id")
    moved_rows = transitions.select(label, "subject", "at", "direction", "caused_by", *CONTEXT)
    return Result(moved_rows, _members(members, context, cohort, window).select(label, pl.all()))


def _members(members: pl.DataFrame, context: pl.DataFrame, cohort: Cohort, window: int) -> pl.DataFrame:
    seen = pl.when("is_member").then(pl.col("at") - 1).otherwise("at")
    rows = members.with_columns(seen.alias("seen_at")).join(context, on=["subject", "at", "seen_at"], how="left")
    stays = pl.col("is_member")
    expires: pl.Expr = pl.lit(None, dtype=pl.Int64)
    if isinstance(cohort.rule, CountRule):
        needed = cohort.param(cohort.rule.count.at_least)
        expires = pl.col("ordered_at").list.get(needed - 1, null_on_oob=True) + window
    newest = pl.max_horizontal("entered_at", "counted_at")
    return rows.select(
        "subject",
        "is_member",
        "entered_at",
        pl.when(stays).then(expires).otherwise("at").alias("expires_at"),
        pl.when(stays).then(newest).otherwise("at").alias("updated_at"),
        pl.lit(None, dtype=pl.String).alias("membership_key"),
        *CONTEXT,
    )
