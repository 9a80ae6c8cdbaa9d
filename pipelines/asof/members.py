"""Members of a cohort at the end of a day: by all that is known now, or as we said at the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import polars as pl

from pipelines.calendar import day_of
from pipelines.cohorts.history import official
from pipelines.config import Tenant
from pipelines.delivery.told import members_told
from pipelines.errors import UsageError
from pipelines.exports.said import said

Source = Literal["file", "events"]
COLUMNS = ("subject", "subject_type", "flockr_vid", "external_id", "entered_at")
_TABLE = "cohort_membership"


@dataclass(frozen=True)
class Members:
    """An answer.

    Attributes:
        clock: ``valid``, by all that is known now; or ``said``.
        source: where the answer was found: ``lake``, ``file`` (an exported revision) or ``events`` (``event_log``).
        revision: of the file.
        said_at: when the file went out, or up to when events were read; None: all so far.
        rows: ``subject``, ``subject_type``, ``flockr_vid``, ``external_id``, ``entered_at``, and where the source is
            ``events`` the ``emission`` of the entry; sorted by subject.
    """

    clock: Literal["valid", "said"]
    source: Literal["lake", "file", "events"]
    rows: pl.DataFrame
    revision: int | None = None
    said_at: datetime | None = None


def members(tenant: Tenant, cohort: str, day: date) -> Members:
    """Who was in at the end of a day by all that is known now.

    Raises:
        UsageError: the day was not computed.
    """
    if day not in tenant.lake.days(_TABLE):
        raise UsageError(f"cohorts of {day} were not computed; run: murmur run --tenant {tenant.id}")
    return Members("valid", "lake", _of(official.membership(tenant, day), cohort))


def members_said(
    tenant: Tenant, cohort: str, day: date, at: datetime | None = None, source: Source | None = None
) -> Members:
    """Whom we said was in at the end of a day.

    Args:
        tenant: whose.
        cohort: cohort id.
        day: tenant day.
        at: what stood at this instant; where not given the day's file as it first went out, or all events so far.
        source: ``file`` or ``events``; the file where one had gone out by then, else the events.

    Raises:
        UsageError: the file is asked for and none had gone out by then.
    """
    found = None if source == "events" else said(tenant, _TABLE, day, at)
    if found is not None:
        return Members("said", "file", _of(found.rows, cohort), found.revision, found.published_at)
    if source == "file":
        by = f" by {at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
        raise UsageError(f"no file of {day} had been published{by}; ask for what was told with: --source events")
    end = day_of(day, tenant.zone).end
    days = [each for each in tenant.lake.days("event_log") if each <= day]
    rows = members_told(tenant, end, days, at).filter(pl.col("cohort_id") == cohort)
    visitor = pl.col("subject_type") == "visitor"
    shown = rows.with_columns(
        pl.when(visitor).then("subject").alias("flockr_vid"), pl.when(~visitor).then("subject").alias("external_id")
    )
    return Members("said", "events", shown.select(*COLUMNS, "emission").sort("subject"), said_at=at)


def _of(rows: pl.DataFrame, cohort: str) -> pl.DataFrame:
    inside = rows.filter((pl.col("cohort_id") == cohort) & pl.col("is_member"))
    return inside.select(COLUMNS).sort("subject")
