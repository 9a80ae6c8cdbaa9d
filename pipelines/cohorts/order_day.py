"""One day of the order cohorts, cut out of their intervals over all time."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts import orders
from pipelines.cohorts.cart_day import Result
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
        money: ``subject``, ``at``, ``net_minor``, ``currency`` of all sales and returns of a customer.
        intervals: cohort -> its intervals.
    """

    orders: pl.DataFrame
    money: pl.DataFrame
    intervals: dict[str, pl.DataFrame]


def history(rows: pl.DataFrame, cohorts: list[Cohort], horizon: int) -> History:
    """Prepare the order cohorts.

    Args:
        rows: ``customer_orders`` before ``horizon`` with ``at`` in microseconds.
        cohorts: count and gap cohorts.
        horizon: end of the last day, in microseconds.
    """
    counted = orders.counted_orders(rows)
    owner = rows.filter(pl.col("kind") == "sale").select(pl.col("order_id").alias("sale_id"), "customer_id")
    paid = rows.join(owner, on="sale_id", how="left").with_columns(
        pl.coalesce("customer_id", "customer_id_right").alias("subject")
    )
    money = paid.filter(pl.col("subject").is_not_null()).select("subject", "at", "net_minor", "currency")
    found = {cohort.id: orders.intervals(cohort, counted, horizon) for cohort in cohorts}
    return History(counted, money, found)


def one_day(known: History, cohort: Cohort, day: Day) -> Result:
    """Transitions and members of one order cohort on a day, as ``cart_day.Result``."""
    start, end = micros(day.start), micros(day.end)
    rows = known.intervals[cohort.id].filter((pl.col("start") < end) & (pl.col("end") >= start))
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
    window = cohort.param(cohort.rule.count.within) if isinstance(cohort.rule, CountRule) else YEAR
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
    newest = pl.max_horizontal("entered_at", "last_order_at")
    return rows.select(
        "subject",
        "is_member",
        "entered_at",
        pl.when(stays).then(expires).otherwise("at").alias("expires_at"),
        pl.when(stays).then(newest).otherwise("at").alias("updated_at"),
        *CONTEXT,
    )
