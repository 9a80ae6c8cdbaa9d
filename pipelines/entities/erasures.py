"""Erasures that a record asked for and nobody has finished: without their opt-out, and with old files in the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import erasure, store
from pipelines.step import Check, CheckResult
from schemas.entities.envelope import MAX_ID_LENGTH


def opt_out_id(customer: str) -> str:
    """``external_id`` of the opt-out that ``murmur erase`` writes for a customer; of a long id it has the hash."""
    whole = f"erasure:{customer}"
    if len(whole) <= MAX_ID_LENGTH:
        return whole
    return f"erasure:{hashlib.sha256(customer.encode()).hexdigest()}"


def unfinished(tenant: Tenant) -> list[str]:
    """Customers whose record says ``erased`` and whom ``murmur erase`` has not followed since, sorted."""
    erased = erasure.erased_customers(tenant)
    written = store.scan(tenant, "opt_outs").filter(pl.col("external_id").str.starts_with("erasure:"))
    last = written.group_by("external_id").agg(pl.col("order_at").max().alias("written_at")).collect()
    ids = [opt_out_id(customer) for customer in erased["external_id"]]
    known = erased.with_columns(pl.Series("opt_out", ids, dtype=pl.String)).join(
        last, left_on="opt_out", right_on="external_id", how="left"
    )
    behind = (pl.col("written_at") < pl.col("erased_at")).fill_null(True)
    return known.filter(behind)["external_id"].sort().to_list()


def erasures_finished(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """``murmur erase`` has followed every record that says ``erased``; names the first that waits by id."""
    waiting = unfinished(tenant)
    first: dict[str, int | str] = {"run": f"murmur erase --tenant {tenant.id} {waiting[0]}"} if waiting else {}
    return CheckResult(
        "erasures_finished",
        not waiting,
        "whoever a record says is erased has an opt-out and is in no old file of the lake",
        {"waiting": len(waiting), **first},
        blocking=False,
    )


CHECK = Check("customers", "erasures_finished", "Nobody waits for murmur erase.", erasures_finished, blocking=False)
