"""``murmur erase``: a customer, and every id merged with it, erased by records that land like any other.

The tombstone keeps the id, so that orders and revenue stay as they are; what the vault and landing hold is removed by
``landing.erasure`` when it lands. Here it is decided who is erased, and the lake is made to follow.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from deltalake import DeltaTable

from pipelines.config import Tenant
from pipelines.entities.dated import entity_versions
from pipelines.entities.erasures import opt_out_id, unfinished
from pipelines.entities.fold import newest, states
from pipelines.entities.history import history
from pipelines.entities.merges import customer_merges, families
from pipelines.entities.steps import publish_dimensions
from pipelines.errors import UsageError
from pipelines.landing import erasure, extracts, leftovers, locks, store
from pipelines.landing.ingest import ingest_bytes
from schemas.entities import ENTITIES

#: Entities whose tables show something of a person.
SHOWN = ("customers", "opt_outs")


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    Attributes:
        customers: the ids that were erased, sorted.
        erased_at: up to when everything of them was removed.
        already: it had been done before; nothing was removed.
        removed: number of things removed, by name.
    """

    customers: list[str]
    erased_at: datetime
    already: bool
    removed: dict[str, int]


def erase(tenant: Tenant, customer: str, *, now: datetime, by: str) -> Erased:
    """Erase a customer.

    Args:
        tenant: whose.
        customer: its ``external_id``; ids that were ever merged with it are the same person and are erased too.
        now: when.
        by: who asked for it, for the audit file.

    Raises:
        UsageError: no record of the customer ever landed.
    """
    versions = store.scan(tenant, "customers").select(list(entity_versions(ENTITIES["customers"]).schema)).collect()
    if versions.filter(pl.col("external_id") == customer).is_empty():
        raise UsageError(f"customer {customer!r}: tenant {tenant.id} has no record of it; nothing was erased")
    ids = _family(versions, customer)
    before = erasure.erased_before(tenant, ids)
    removed: dict[str, int] = {}
    if before is None:
        own = versions.filter(pl.col("external_id").is_in(ids))
        at = max(now, own.select(pl.col("order_at").max()).item() + timedelta(microseconds=1))
        _land(tenant, "opt_outs", [_opt_out(each, at) for each in ids], now)
        batch = _land(tenant, "customers", _tombstones(own, ids, at), now)
        removed = erasure.removed_by(tenant, batch)
        erasure.append_audit(tenant, {"at": now.isoformat(), "batch_id": batch, "by": by, "customers": ids})
    elif owed := sorted(set(ids).intersection(unfinished(tenant))):
        # A record that came like any other said it. The opt-out says that it was followed, so it comes after that.
        _follow(tenant)
        batch = _land(tenant, "opt_outs", [_opt_out(each, before) for each in owed], now)
        erasure.append_audit(tenant, {"at": now.isoformat(), "batch_id": batch, "by": by, "customers": owed})
    with locks.everything(tenant):
        leftovers.remove(tenant)
    _follow(tenant)
    return Erased(ids, before or at, before is not None, removed)


def _family(versions: pl.DataFrame, customer: str) -> list[str]:
    merges = customer_merges(history(versions, ENTITIES["customers"]))
    groups = families(merges)
    own = groups.filter(pl.col("customer_id") == customer)["family"]
    joined = groups.filter(pl.col("family").is_in(own.implode()))["customer_id"].to_list()
    known = set(versions["external_id"])
    return sorted({customer, *(each for each in joined if each in known)})


def _tombstones(versions: pl.DataFrame, ids: Sequence[str], at: datetime) -> list[dict[str, Any]]:
    now = newest(states(versions, ENTITIES["customers"]))
    merged = dict(now.select("external_id", "merged_into").drop_nulls().iter_rows())
    return [
        {"external_id": each, "updated_at": at.isoformat(), "status": erasure.ERASED}
        | ({"merged_into": merged[each]} if each in merged else {})
        for each in ids
    ]


def _opt_out(customer: str, at: datetime) -> dict[str, Any]:
    return {
        "external_id": opt_out_id(customer),
        "customer_id": customer,
        "channel": "all",
        "scope": "all",
        "action": "opt_out",
        "reason": "erasure",
        "occurred_at": at.isoformat(),
        "updated_at": at.isoformat(),
    }


def _land(tenant: Tenant, entity: str, records: Sequence[dict[str, Any]], now: datetime) -> str:
    data = "".join(json.dumps(each, sort_keys=True) + "\n" for each in records).encode()
    return ingest_bytes(tenant, entity, data, "erasure.ndjson", source="file", received_at=now).batch_id


def _follow(tenant: Tenant) -> None:
    """Publish what the lake shows of people again, and remove the files that showed more."""
    extracts.drop(tenant)
    shown = [name for name in SHOWN if tenant.lake.exists(name)]
    if not shown:
        return
    publish_dimensions(tenant, shown)
    for table in (*shown, *(f"{name}_history" for name in shown)):
        # Files of older versions hold what was erased, so that they may not wait for the usual retention.
        DeltaTable(tenant.lake.root / table).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
