"""Checks that every version of an entity without days is accounted for: in landing, in its history, in its table.

An erased customer's versions lose what they said and stay versions, so that the counts hold before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.carried import carried
from pipelines.entities.dated import entity_versions
from pipelines.landing import store
from pipelines.landing.canonical import version_hash
from pipelines.step import Check, CheckResult
from schemas.entities import ENTITIES
from schemas.registry import DIMENSIONS

_SAYS = "every version received stands in the history, and the table has a row for each id that is not deleted"


def expected_rows(tenant: Tenant, name: str) -> dict[str, int]:
    """What was received, and what a table and its history must hold of it.

    Returns:
        ``received``: versions that receipts say were kept; ``landed``: those that are there; ``versions``: distinct
        ones, with those inside other entities; ``ids``; ``deleted``: ids whose newest version is a tombstone.
    """
    entity = ENTITIES[name]
    columns = list(entity_versions(entity).schema)
    kept = sum(receipt.accepted + receipt.superseded for receipt in store.committed(tenant, name))
    landed, inside = store.scan(tenant, name).select(columns), carried(tenant, name)
    both = [landed] if inside is None else [landed, inside.lazy().select(columns)]
    said = pl.concat(both).select("external_id", "order_at", "op", version_hash(entity.stored).alias("hash"))
    newest = pl.col("order_at") == pl.col("order_at").max()
    by_id = said.unique().group_by("external_id")
    counted = by_id.agg(pl.len(), (newest & (pl.col("op") == "delete")).any().alias("gone"))
    sums = counted.select(pl.col("len").sum(), pl.len().alias("ids"), pl.col("gone").sum())
    versions, ids, deleted = sums.collect(engine="streaming").row(0)
    there = int(landed.select(pl.len()).collect(engine="streaming").item())
    return {"received": kept, "landed": there, "versions": int(versions), "ids": int(ids), "deleted": int(deleted)}


def rows_accounted_for(name: str) -> Check:
    """A check that an entity's table and history hold what was received, no more and no less."""

    def run(tenant: Tenant, days: Sequence[date]) -> CheckResult:
        expected = expected_rows(tenant, name)
        rows, past = (_height(tenant, table) for table in (name, f"{name}_history"))
        adds_up = (
            expected["received"] == expected["landed"]
            and past == expected["versions"]
            and rows == expected["ids"] - expected["deleted"]
        )
        evidence: dict[str, int | str] = {**expected, "history": past, "rows": rows}
        # A batch that lands while this runs is counted before it is published, which is no reason to stop.
        return CheckResult(f"{name}_rows_accounted_for", adds_up, _SAYS, evidence, blocking=False)

    return Check(name, f"{name}_rows_accounted_for", f"{_SAYS[0].upper()}{_SAYS[1:]}.", run, blocking=False)


def _height(tenant: Tenant, table: str) -> int:
    return int(tenant.lake.scan(table).select(pl.len()).collect().item())


CHECKS: tuple[Check, ...] = tuple(rows_accounted_for(name) for name in DIMENSIONS)
