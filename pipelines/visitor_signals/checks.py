"""Checks of the tables of this stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.config import Tenant
from pipelines.step import Check, CheckResult
from pipelines.visitor_signals.moves import TABLE as CROSSINGS
from pipelines.visitor_signals.resolve import visitor_signals
from pipelines.visitor_signals.rows import TABLE as SNAPSHOTS

_FOLD = "The state at the end of a day is that of the day before, moved by the day's crossings."
_SHARES = "The shares of a visitor's categories come to no more than the whole."
_KEY = ["signal_id", "subject"]


def _states_fold(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """Who has no row is in the normal state."""
    normal = {key: each.signal.normal for key, each in visitor_signals(tenant).items() if each.signal.normal}
    lake, wrong, compared = tenant.lake, 0, 0
    published = set(lake.days(SNAPSHOTS))
    stepped = pl.col("signal_id").is_in(list(normal))
    for day in sorted(set(days) & published):
        before = day - timedelta(days=1)
        if before not in published:
            continue
        now, old = (lake.read(SNAPSHOTS, [each]).filter(stepped).select(*_KEY, "state") for each in (day, before))
        last = (
            lake.read(CROSSINGS, [day])
            .filter(stepped & pl.col("suppressed_by").is_null())
            .sort("effective_at")
            .group_by(_KEY)
            .agg(pl.col("to_state").last())
        )
        joined = now.join(old.rename({"state": "old"}), on=_KEY, how="full", coalesce=True).join(
            last, on=_KEY, how="full", coalesce=True
        )
        usual = pl.col("signal_id").replace_strict(normal, return_dtype=pl.String)
        expected, held = pl.coalesce("to_state", "old", usual), pl.coalesce("state", usual)
        wrong += joined.filter(expected != held).height
        compared += joined.height
    return CheckResult("visitor_states_fold", wrong == 0, _FOLD, {"compared": compared, "wrong": wrong})


def _shares_add_up(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    rows = tenant.lake.scan(SNAPSHOTS, sorted(days)).filter(
        pl.col("item").is_not_null() & pl.col("value").is_not_null()
    )
    total = rows.group_by("date", *_KEY).agg(pl.col("value").sum()).collect()
    # A hundred and what rounding of a few divisions can add.
    wrong = total.filter(pl.col("value") > 100.000001).height
    return CheckResult("affinity_adds_up", wrong == 0, _SHARES, {"compared": total.height, "wrong": wrong})


CHECKS: tuple[Check, ...] = (
    Check(SNAPSHOTS, "visitor_states_fold", _FOLD, _states_fold),
    Check(SNAPSHOTS, "affinity_adds_up", _SHARES, _shares_add_up),
)
