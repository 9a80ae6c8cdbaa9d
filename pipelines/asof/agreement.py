"""Whether every table about cohorts says the same, from the first day to the last: it reads all of them.

What a run checks of its own days is in the checks of each table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.cohorts.history import official
from pipelines.cohorts.history.checks import compare, members
from pipelines.cohorts.history.run import MOVED, TABLE, open_before, without_end
from pipelines.cohorts.history.spans import KEY, MOVES, no_spans, one_day
from pipelines.config import Tenant
from pipelines.delivery.told import believed
from schemas.tables import OPEN_SPANS

#: What is compared, and with what.
COMPARED = {
    "members": "members of the day and the fold of all transitions up to it",
    "spans": "spans of the history that ended on the day and those that the transitions give",
    "events": "entries and exits of the day and those that the event log stands by",
    "told": "members of the day and the fold of what was sent or withheld up to it",
    "sizes": "sizes and the numbers of members, entries and exits",
    "open": "spans of the history that have no end and those that the transitions leave open",
}


@dataclass(frozen=True)
class Agreement:
    """What one day came to.

    Attributes:
        day: the day; None for what holds after the newest one.
        members: at its end.
        sent: entries and exits of the day that the log stands by and that were sent.
        withheld: and those that were not.
        differences: by what is compared, how many rows only one side has; empty when all agree.
    """

    day: date | None
    members: int
    sent: int = 0
    withheld: int = 0
    differences: dict[str, int] = field(default_factory=dict)


def agreements(tenant: Tenant, first: date | None = None, last: date | None = None) -> Iterator[Agreement]:
    """Compare day by day; the fold begins with the first published day whatever is asked for.

    Args:
        tenant: whose.
        first: earliest day to report.
        last: latest day to report; what is open is compared only where none is given.
    """
    lake = tenant.lake
    days = [day for day in lake.days(MOVED) if last is None or day <= last]
    spans, heard = no_spans(), no_spans()
    for place, day in enumerate(days):
        if place and (day - days[place - 1]).days == 1:
            pass
        else:
            spans = heard = open_before(tenant, day)
        moves = official.transitions(tenant, day)
        closed, spans = one_day(spans, moves.select(MOVES))
        told = believed(lake.read("event_log", [day]))
        _, heard = one_day(heard, _as_moves(told))
        if first is None or day >= first:
            yield _of_day(tenant, day, closed, spans, heard, moves, told)
    if last is None and days:
        kept = lake.read(TABLE, [OPEN_SPANS]).drop("date")
        wrong = _apart(without_end(spans).select(kept.columns), kept)
        yield Agreement(None, spans.height, differences={"open": wrong} if wrong else {})


def _of_day(
    tenant: Tenant,
    day: date,
    closed: pl.DataFrame,
    spans: pl.DataFrame,
    heard: pl.DataFrame,
    moves: pl.DataFrame,
    told: pl.DataFrame,
) -> Agreement:
    inside = members(tenant, day)
    names = [*KEY, "valid_from"]
    kept = tenant.lake.read(TABLE, [day]).drop("date")
    # Where a definition took over, a member's own entry by it may lie before the day on which it began to count.
    shared = names if not official.switched(tenant, day) else KEY
    apart = {
        "members": _apart(inside.select(shared), spans.select(shared)),
        "spans": _apart(closed.select(kept.columns), kept),
        "events": _apart(moves.select("transition_id"), told.select("transition_id")),
        "told": _apart(inside.select(shared), heard.select(shared)),
        "sizes": _sizes(tenant, day, inside, moves),
    }
    sent = told.filter(pl.col("emission") == "sent").height
    return Agreement(
        day, inside.height, sent, told.height - sent, {name: count for name, count in apart.items() if count}
    )


def _apart(left: pl.DataFrame, right: pl.DataFrame) -> int:
    found = compare(left, right)
    return found["only_left"] + found["only_right"]


def _as_moves(told: pl.DataFrame) -> pl.DataFrame:
    """What was told with the columns that spans are made from; what an event does not say is null."""
    absent = [
        pl.lit(None, dtype=pl.String).alias(name)
        for name in ("definition_version", "flockr_vid", "external_id", "caused_by")
    ]
    return told.with_columns(absent).select(MOVES)


def _sizes(tenant: Tenant, day: date, inside: pl.DataFrame, moves: pl.DataFrame) -> int:
    sizes = official.sizes(tenant, day)
    found = sizes.select("cohort_id")
    counted = {
        "size": inside,
        **{way: moves.filter(pl.col("direction") == way) for way in ("entered", "exited")},
    }
    for name, rows in counted.items():
        counts = rows.group_by("cohort_id").agg(pl.len().cast(pl.Int64).alias(name))
        found = found.join(counts, on="cohort_id", how="full", coalesce=True)
    found = found.with_columns(pl.col("size", "entered", "exited").fill_null(0))
    return _apart(found, sizes.select(found.columns))
