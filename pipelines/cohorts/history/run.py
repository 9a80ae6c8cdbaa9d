"""The step: spans of the days from their transitions, and in one partition those that are open after the newest day.

A day costs its own transitions and the spans that are open, however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import day_of
from pipelines.carry import CHECKPOINT_DAYS, Trail, day_inputs, folder
from pipelines.cohorts.history import official
from pipelines.cohorts.history.spans import KEY, MOVES, OPEN, no_spans, one_day
from pipelines.config import Tenant
from pipelines.step import Writers, publish
from pipelines.storage.hashing import identifiers
from pipelines.storage.lake import Commit
from schemas.tables import OPEN_SPANS

STEP = "cohort_history"
TABLE = "cohort_membership_history"
MOVED = "cohort_transitions"
#: Changes when the columns of the state or their meaning do.
LAYOUT = "1"
_ONE = timedelta(days=1)


def run(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish ``cohort_membership_history`` of the days."""
    return advance(tenant, days, ())


def advance(tenant: Tenant, days: Sequence[date], tail: Sequence[date]) -> dict[str, Commit]:
    """``run``, and of the days in ``tail`` those before which other spans are open than were."""

    def fill(writers: Writers) -> None:
        newest = max((day for day in tenant.lake.days(TABLE) if day != OPEN_SPANS), default=date.min)
        still: pl.DataFrame | None = None
        for day, closed, after in results(tenant, days, tail):
            writers[TABLE].put(day, closed)
            newest, still = (day, after) if day >= newest else (newest, None)
        if still is not None:
            writers[TABLE].put(OPEN_SPANS, without_end(still))

    return publish(tenant, (TABLE,), fill)


def without_end(spans: pl.DataFrame) -> pl.DataFrame:
    """Open spans with the columns of those that have ended."""
    return spans.with_columns(
        pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("valid_to"),
        pl.lit(None, dtype=pl.String).alias("exited_by"),
        pl.lit(None, dtype=pl.String).alias("exit_transition_id"),
    )


def results(
    tenant: Tenant, days: Sequence[date], tail: Sequence[date] = ()
) -> Iterator[tuple[date, pl.DataFrame, pl.DataFrame]]:
    """Each day to publish, the spans that ended on it, and those that are open after it; in order."""
    lake = tenant.lake
    published = set(lake.days(MOVED))
    last = max([*days, *tail])
    inputs = day_inputs(lake, {MOVED: 0}, LAYOUT, last, lambda day: _besides(tenant, day, published))
    trail = Trail(folder(tenant, STEP), inputs, {"open": no_spans()})
    spans = no_spans()
    for turn in trail.walk(days, tail):
        if turn.begin:
            spans = no_spans()
        if turn.load:
            spans = trail.load(turn.load, "open")
        if turn.day in published and turn.day - _ONE not in published:
            spans = open_before(tenant, turn.day)
        closed, spans = one_day(spans, official.transitions(tenant, turn.day).select(MOVES))
        trail.made(turn.day, {"open": spans})
        if turn.publish:
            yield turn.day, closed, spans
    _tidy(trail, last)


def _besides(tenant: Tenant, day: date, published: set[date]) -> str:
    """What the open spans of a day depend on beside its transitions: where they begin, and a change of definitions."""
    begins = day in published and day - _ONE not in published
    return official.switched(tenant, day) + (tenant.lake.files("cohort_membership").get(day, "") if begins else "")


def open_before(tenant: Tenant, day: date) -> pl.DataFrame:
    """Spans that were open before the first day of transitions, from the members of that day and those who left."""
    start = day_of(day, tenant.zone).start
    iso = pl.col("entered_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    parts = [pl.lit(tenant.id), pl.col("cohort_id"), pl.col("subject"), pl.lit("entered"), iso]
    rows = official.membership(tenant, day).filter(pl.col("entered_at") < start)
    return (
        rows.with_columns(
            pl.col("entered_at").alias("valid_from"),
            pl.lit(None, dtype=pl.String).alias("entered_by"),
            identifiers(parts).alias("entry_transition_id"),
        )
        .select(list(OPEN))
        .sort(KEY)
    )


def _tidy(trail: Trail, last: date) -> None:
    """Remove states of days that are neither checkpoints nor the newest: each is as large as the membership."""
    for path in trail.folder.glob("*.arrow"):
        day = date.fromisoformat(path.name[:10])
        if day < last and day.toordinal() % CHECKPOINT_DAYS:
            path.unlink(missing_ok=True)
