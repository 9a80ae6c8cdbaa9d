"""The ledgers of what was received: a row per batch and a row per refused row, from the receipts of landing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import store
from schemas.contract import Contract
from schemas.entities import ENTITIES
from schemas.registry import LAKE


def batches(tenant: Tenant) -> pl.DataFrame:
    """Every committed batch with its counts, in the columns of ``batches``."""
    contract = LAKE["batches"]
    rows = [_typed(receipt, contract) for name in ENTITIES for receipt in store.receipts(tenant, name)]
    return pl.DataFrame(rows, schema=contract.schema)


def quarantine(tenant: Tenant) -> pl.DataFrame:
    """Every refused row of a committed batch, in the columns of ``quarantine``."""
    contract = LAKE["quarantine"]
    files = [
        path
        for name in ENTITIES
        for receipt in store.receipts(tenant, name)
        if (path := tenant.landing / name / f"{receipt['batch_id']}.quarantine.parquet").is_file()
    ]
    if not files:
        return contract.empty()
    return pl.scan_parquet(files, schema=contract.schema, missing_columns="insert", extra_columns="ignore").collect()


def _typed(receipt: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """A receipt is JSON, so its dates and instants are text."""
    row = {column.name: receipt.get(column.name) for column in contract}
    for column in contract:
        value = row[column.name]
        if isinstance(value, str) and column.kind == "timestamp":
            row[column.name] = datetime.fromisoformat(value).astimezone(UTC)
        elif isinstance(value, str) and column.kind == "date":
            row[column.name] = date.fromisoformat(value)
    return row
