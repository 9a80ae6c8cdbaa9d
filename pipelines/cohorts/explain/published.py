"""What the tables say about a subject in a cohort: the row of a day, and how it left last."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from pipelines.cohorts.language.rules import Cohort
from pipelines.storage.lake import Lake


def named(cohort: Cohort, key: str | None) -> str:
    """Id of a cohort, of a family with the key."""
    return cohort.id if key is None else f"{cohort.id}:{key}"


def row_of(lake: Lake, cohort: Cohort, key: str | None, subject: str, day: date) -> dict[str, Any] | None:
    """The subject's row of ``cohort_membership`` on a day, by the definition as it is now."""
    rows = lake.scan("cohort_membership", [day]).filter(_own(cohort, key, subject))
    found = rows.select("is_member", "entered_at", "expires_at").collect().to_dicts()
    return found[0] if found else None


def last_exit(lake: Lake, cohort: Cohort, key: str | None, subject: str, day: date) -> dict[str, Any] | None:
    """``at`` and ``because`` of the newest exit until the end of a day."""
    days = [each for each in lake.days("cohort_transitions") if each <= day]
    rows = lake.scan("cohort_transitions", days).filter(_own(cohort, key, subject) & (pl.col("direction") == "exited"))
    found = rows.select(pl.col("effective_at").alias("at"), pl.col("caused_by").alias("because")).collect()
    return found.sort("at").to_dicts()[-1] if found.height else None


def _own(cohort: Cohort, key: str | None, subject: str) -> pl.Expr:
    return (
        (pl.col("cohort_id") == named(cohort, key))
        & (pl.col("definition_version") == cohort.definition_version)
        & (pl.col("subject") == subject)
    )
