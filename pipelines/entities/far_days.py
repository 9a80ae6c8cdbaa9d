"""The check that says which records lie on days that are not computed, since they are far from all others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pipelines.config import Tenant
from pipelines.landing import store
from pipelines.landing.days import DATED, days_left_out
from pipelines.step import Check, CheckResult

NAME = "no_days_left_out"
DESCRIPTION = "Every day with records is computed."


def none_left_out(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """No record lies on a day that is left out; the evidence counts such records by entity."""
    left = set(days_left_out(tenant))
    evidence: dict[str, int | str] = {"days": len(left), "longest_gap_days": tenant.config.longest_gap_days}
    if left:
        evidence |= {"first": min(left).isoformat(), "last": max(left).isoformat()}
    for entity in DATED:
        parts = [part for receipt in store.committed(tenant, entity) for part in receipt.partitions]
        if rows := sum(part.accepted + part.superseded for part in parts if part.date in left):
            evidence[entity] = rows
    says = "records lie within longest_gap_days of others; those that do not are kept and not computed"
    return CheckResult(NAME, not left, says, evidence, blocking=False)


CHECK = Check("batch_partitions", NAME, DESCRIPTION, none_left_out, blocking=False)
