"""What must hold of the published cohort tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.config import Tenant
from pipelines.step import Check, CheckResult

_ADD_UP = "The size of a day is that of the day before, plus who entered, minus who exited."
_FOLD = "Members are those of the day before, moved by the day's transitions."
_ALTERNATE = "A subject's transitions in a cohort alternate between entered and exited."
_KEY = ["cohort_id", "definition_version", "subject"]


def _published_before(tenant: Tenant, days: Sequence[date]) -> list[tuple[date, date]]:
    published = set(tenant.lake.days("cohort_sizes"))
    pairs = [(day, day - timedelta(days=1)) for day in sorted(set(days) & published)]
    return [(day, before) for day, before in pairs if before in published]


def _add_up(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    wrong = compared = 0
    for day, before in _published_before(tenant, days):
        now = tenant.lake.read("cohort_sizes", [day])
        old = tenant.lake.read("cohort_sizes", [before]).select(*_KEY[:2], pl.col("size").alias("before"))
        joined = now.join(old, on=_KEY[:2])
        expected = pl.col("before") + pl.col("entered") - pl.col("exited")
        wrong += joined.filter(pl.col("size") != expected).height
        compared += joined.height
    return CheckResult("transitions_add_up", wrong == 0, _ADD_UP, {"compared": compared, "wrong": wrong})


def _fold(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    wrong = compared = 0
    for day, before in _published_before(tenant, days):
        now, old = (
            tenant.lake.scan("cohort_membership", [each]).filter("is_member").select(_KEY).collect()
            for each in (day, before)
        )
        moves = tenant.lake.read("cohort_transitions", [day]).sort("effective_at")
        last = moves.group_by(_KEY).agg(pl.col("direction").last())
        kept = old.join(last, on=_KEY, how="anti")
        came = last.filter(pl.col("direction") == "entered").select(_KEY)
        versions = now.select(_KEY[:2]).unique()
        expected = pl.concat([kept, came]).join(versions, on=_KEY[:2], how="semi")
        wrong += expected.join(now, on=_KEY, how="anti").height + now.join(expected, on=_KEY, how="anti").height
        compared += now.height
    return CheckResult("membership_folds", wrong == 0, _FOLD, {"compared": compared, "wrong": wrong})


def _alternate(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    rows = tenant.lake.read("cohort_transitions", sorted(set(days))).sort(*_KEY, "effective_at", "direction")
    same = pl.all_horizontal([pl.col(name) == pl.col(name).shift(1) for name in _KEY])
    wrong = rows.filter(same & (pl.col("direction") == pl.col("direction").shift(1))).height
    return CheckResult("transitions_alternate", wrong == 0, _ALTERNATE, {"compared": rows.height, "wrong": wrong})


CHECKS: tuple[Check, ...] = (
    Check("cohort_sizes", "transitions_add_up", _ADD_UP, _add_up),
    Check("cohort_membership", "membership_folds", _FOLD, _fold),
    Check("cohort_transitions", "transitions_alternate", _ALTERNATE, _alternate),
)
