"""The ledgers of what was received: a row per batch and a row per refused row, from the receipts of landing."""

from __future__ import annotations

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import store
from schemas.entities import ENTITIES
from schemas.registry import LAKE


def batches(tenant: Tenant) -> pl.DataFrame:
    """Every committed batch with its counts, in the columns of ``batches``."""
    rows = [receipt for name in ENTITIES for receipt in store.receipts(tenant, name)]
    return pl.DataFrame(rows, schema=LAKE["batches"].schema)


def quarantine(tenant: Tenant) -> pl.DataFrame:
    """Every refused row of a committed batch, in the columns of ``quarantine``."""
    return pl.concat([store.quarantine(tenant, name) for name in ENTITIES])
