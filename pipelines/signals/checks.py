"""What must hold of the published signal tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.config import Tenant
from pipelines.step import Check, CheckResult

_FOLD = "The state at the end of a day is that of the day before, moved by the day's crossings."
_STEPPED = ("momentum", "scarcity_state", "scarcity_risk", "lifecycle_state", "demand_state", "price_change")


def _states_fold(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    lake = tenant.lake
    wrong = compared = 0
    published = set(lake.days("signal_snapshots"))
    for day in sorted(set(days) & published):
        before = day - timedelta(days=1)
        if before not in published:
            continue
        key = ["signal_id", "subject", "place"]
        now, old = (
            lake.read("signal_snapshots", [each]).filter(pl.col("signal_id").is_in(_STEPPED)) for each in (day, before)
        )
        last = (
            lake.read("signal_crossings", [day])
            .filter(pl.col("suppressed_by").is_null())
            .sort("effective_at")
            .group_by(key)
            .agg(pl.col("to_state").last())
        )
        joined = now.join(old.select(*key, pl.col("state").alias("old")), on=key, how="left", nulls_equal=True).join(
            last, on=key, how="left", nulls_equal=True
        )
        expected = pl.coalesce("to_state", "old")
        wrong += joined.filter(expected.is_not_null() & (expected != pl.col("state"))).height
        compared += joined.height
    return CheckResult("states_fold", wrong == 0, _FOLD, {"compared": compared, "wrong": wrong})


CHECKS: tuple[Check, ...] = (Check("signal_snapshots", "states_fold", _FOLD, _states_fold),)
