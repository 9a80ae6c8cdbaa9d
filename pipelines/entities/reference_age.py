"""The check that says when references have been waiting for too long. It warns: a waiting row is usable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.landing.days import computed_days
from pipelines.step import Check, CheckResult

NAME = "references_not_too_old"
DESCRIPTION = "No row has waited for an entity that it names for longer than the tenant allows."


def ages(tenant: Tenant) -> pl.DataFrame:
    """Waiting references with ``age_days``, columns of ``unresolved_references`` beside it.

    The age is counted from the tenant day of ``since`` to the newest day on which a record falls: what is late is late
    against the data, whatever the clock says.
    """
    newest = pl.lit(max(computed_days(tenant), default=None), dtype=pl.Date)
    age = (newest - local_date(pl.col("since"), tenant.zone)).dt.total_days()
    return tenant.lake.scan("unresolved_references").with_columns(age.clip(lower_bound=0).alias("age_days")).collect()


def not_too_old(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """Whether every waiting reference is young enough; the evidence counts the old ones by what they wait for."""
    waiting = ages(tenant)
    limit = tenant.config.references.max_age_days
    old = waiting.filter(pl.col("age_days") > limit)
    by_target = old.group_by("target_entity").len().sort("target_entity")
    money = old.unique(["entity", "row_id"]).group_by("currency").agg(pl.col("blocked_minor").sum()).drop_nulls()
    return CheckResult(
        NAME,
        old.is_empty(),
        DESCRIPTION,
        {
            "max_age_days": limit,
            "waiting": waiting.height,
            "too_old": old.height,
            "oldest_days": waiting.select(pl.col("age_days").max()).item() or 0,
            **{f"waiting for {target}": count for target, count in by_target.iter_rows()},
            **{f"blocked_minor {currency}": total for currency, total in money.sort("currency").iter_rows()},
        },
        blocking=False,
    )


CHECK = Check("unresolved_references", NAME, DESCRIPTION, not_too_old, blocking=False)
