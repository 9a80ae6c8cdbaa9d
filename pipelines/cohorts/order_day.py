"""One day of the order cohorts, cut out of their intervals over all time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts import orders
from pipelines.cohorts.instants.days import Held, cut
from pipelines.cohorts.result import Result
from pipelines.cohorts.streams.customers import Customers
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
        held: cohort -> when it holds.
        changes: cohort -> ``subject`` and the instants ``at`` from which on something of its rows differs, by instant.
    """

    orders: pl.DataFrame
    money: pl.DataFrame
    held: dict[str, Held]
    changes: dict[str, pl.DataFrame]


def money(known: Customers) -> pl.DataFrame:
    """What ``orders.paid`` says of the customers' orders."""
    return orders.paid(known.orders, known.merges)


def history(counted: pl.DataFrame, paid: pl.DataFrame, held: dict[str, Held]) -> History:
    """Prepare cohorts of customers.

    Args:
        counted: what ``orders.counted_orders`` gave.
        paid: what ``orders.paid`` gave.
        held: cohort -> when it holds.
    """
    changes = {key: _changes(counted, paid, each.times) for key, each in held.items()}
    return History(counted, paid, held, changes)


def subjects(known: History) -> pl.DataFrame:
    """``subject``: customers who are in one of the cohorts at any time, or who ordered."""
    none = pl.DataFrame(schema={"subject": pl.String})
    found = [each.times.select("subject") for each in known.held.values()]
    return pl.concat([none, known.orders.select("subject"), *found]).unique()


def _changes(counted: pl.DataFrame, paid: pl.DataFrame, times: pl.DataFrame) -> pl.DataFrame:
    members = times.select("subject").unique()
    instants = (pl.col("since"), pl.col("at") + YEAR, pl.col("until"))
    parts = [counted.select("subject", instant.alias("at")) for instant in instants]
    parts += [paid.select("subject", at=edge) for edge in ("since", "until")]
    parts = [part.join(members, on="subject", how="semi") for part in parts]
    parts += [times.select("subject", at=edge) for edge in ("start", "end")]
    return pl.concat(parts).sort("at")


def one_day(known: History, held: Held, day: Day, before: pl.DataFrame | None = None) -> Result:
    """Transitions and members of one cohort of customers on a day, as ``Result``.

    Args:
        known: what ``history`` gave.
        held: one of its cohorts.
        day: the day.
        before: members at its start as the day before showed them; without them all are computed.
    """
    start, end = micros(day.start), micros(day.end)
    if before is None:
        return _computed(known, held, day)
    changes = known.changes[held.cohort_id]
    first, after = (int(changes["at"].search_sorted(instant)) for instant in (start, end))
    moving = changes.slice(first, after - first).select("subject").unique()
    times = held.times.join(moving, on="subject", how="semi")
    parts = held.parts.join(moving, on="subject", how="semi")
    moved = _computed(known, replace(held, times=times, parts=parts), day)
    resting = before.join(moving, on="subject", how="anti", maintain_order="left").with_columns(
        _days_since(pl.lit(end))
    )
    # Both lie in the order of subjects, and so does what the day after is given.
    return Result(moved.transitions, resting.select(moved.members.columns).merge_sorted(moved.members, key="subject"))


def _days_since(at: pl.Expr) -> pl.Expr:
    return ((at - pl.col("last_order_at")) // DAY).alias("days_since")


def _computed(known: History, held: Held, day: Day) -> Result:
    end = micros(day.end)
    moved, members = cut(held, day)
    at = pl.when("is_member").then(end).otherwise("expires_at")
    # What happens at the instant of a transition is seen by it; a member is shown as of the end of the day.
    seen = pl.when("is_member").then(end - 1).otherwise("expires_at")
    listed = members.with_columns(at.alias("at"), seen.alias("seen_at"))
    moments = pl.concat(
        [
            moved.select("subject", "at", pl.col("at").alias("seen_at")),
            listed.filter("is_member").select("subject", "at", "seen_at"),
        ]
    ).unique()
    found = orders.context(moments, known.orders, known.money, YEAR)
    key = ["subject", "at", "seen_at"]
    told = moved.with_columns(pl.col("at").alias("seen_at")).join(found, on=key, how="left")
    shown = listed.join(found, on=key, how="left")
    newest = pl.when("is_member").then(pl.max_horizontal("updated_at", "counted_at")).otherwise("updated_at")
    if held.needed and held.needed[1] <= YEAR:
        oldest = pl.col("ordered_at").list.get(held.needed[0] - 1, null_on_oob=True) + held.needed[1]
        shown = shown.with_columns(pl.when("is_member").then(oldest).otherwise("expires_at").alias("expires_at"))
    return Result(
        told.select(*moved.columns, *CONTEXT),
        shown.with_columns(newest.alias("updated_at")).select(*members.columns, *CONTEXT),
    )
