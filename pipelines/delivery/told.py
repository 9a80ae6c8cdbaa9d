"""What the world was told to believe: the fold of ``event_log`` up to an instant. Nothing is appended here."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from pipelines.config import Tenant
from pipelines.delivery.event_log import TELLS, latest

_DIRECTIONS = {kind: direction for direction, kind in TELLS.items()}
#: Columns of an entry or exit that is believed.
BELIEVED = (
    "transition_id",
    "cohort_id",
    "subject_type",
    "subject",
    "effective_at",
    "direction",
    "emission",
    "event_id",
)
_KEY = ["cohort_id", "subject"]


def believed(log: pl.DataFrame, at: datetime | None = None) -> pl.DataFrame:
    """Entries and exits that the log stood by.

    Args:
        log: rows of ``event_log``, each partition whole.
        at: only what had been noticed by then; all that is known now where not given.

    Returns:
        ``BELIEVED``, one row a transition, sorted by cohort, subject and instant; an entry before an exit.
    """
    known = log if at is None else log.filter(pl.col("detected_at") <= at)
    direction = pl.col("kind").replace_strict(_DIRECTIONS, return_dtype=pl.String)
    held = latest(known).filter("is_true").with_columns(direction.alias("direction"))
    return held.select(BELIEVED).sort(*_KEY, "effective_at", "direction")


def members_told(tenant: Tenant, end: datetime, days: list[date], at: datetime | None = None) -> pl.DataFrame:
    """Who was in at an instant by what had been told or withheld.

    Args:
        tenant: whose.
        end: members at this instant: what happened before it counts.
        days: partitions of ``event_log`` up to it.
        at: as for ``believed``.

    Returns:
        ``cohort_id``, ``subject``, ``subject_type``, ``entered_at``, ``emission`` and ``event_id`` of the entry.
    """
    held = believed(tenant.lake.read("event_log", days), at).filter(pl.col("effective_at") < end)
    newest = held.unique(_KEY, keep="last", maintain_order=True).filter(pl.col("direction") == "entered")
    return newest.select(*_KEY, "subject_type", pl.col("effective_at").alias("entered_at"), "emission", "event_id")
