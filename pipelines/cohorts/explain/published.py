"""What the tables say about a subject in a cohort, and by which definitions: the row of a day, how it left last."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from pipelines.cohorts.history.definitions import definition, timeline
from pipelines.cohorts.history.publish import load
from pipelines.cohorts.history.versions import closure
from pipelines.cohorts.language.rules import Cohort
from pipelines.config import Tenant
from pipelines.storage.lake import Lake


def definitions_on(tenant: Tenant, present: Mapping[str, Cohort], cohort_id: str, day: date) -> Mapping[str, Cohort]:
    """The present definitions, with that of a cohort, and of those that it names, as they count on a day."""
    version = timeline(tenant).active(day).get(cohort_id)
    if version is None or (cohort_id in present and present[cohort_id].definition_version == version):
        return present
    kept = {name: definition(tenant, name, which) for name, which in closure(tenant, cohort_id, version).items()}
    return {**present, **{name: load(each) for name, each in kept.items() if each is not None}}


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
