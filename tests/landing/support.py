"""A tenant in a temporary folder, and short ways to land records and to read what became of them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.config import Tenant, TenantConfig
from pipelines.landing import store
from pipelines.landing.ingest import ingest_bytes
from pipelines.landing.store import Receipt

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Record = Mapping[str, Any]


def tenant(home: Path, zone: str = "Europe/London") -> Tenant:
    return Tenant(TenantConfig(id="demo", timezone=zone), home, home)


def event(**changes: Any) -> dict[str, Any]:
    record = {
        "external_id": "e-1",
        "event_name": "Page Viewed",
        "occurred_at": "2026-01-02T10:00:00Z",
        "flockr_vid": "v-1",
        **changes,
    }
    return {key: value for key, value in record.items() if value is not ...}


def customer(**changes: Any) -> dict[str, Any]:
    record = {"external_id": "c-1", "updated_at": "2026-01-02T10:00:00Z", **changes}
    return {key: value for key, value in record.items() if value is not ...}


def ndjson(records: Sequence[Record | str]) -> bytes:
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records).encode()


def land(where: Tenant, entity: str, data: bytes | Sequence[Record | str], name: str = "rows.ndjson") -> Receipt:
    body = data if isinstance(data, bytes) else ndjson(data)
    return ingest_bytes(where, entity, body, name, source="file", received_at=NOW)


def rows(where: Tenant, entity: str) -> list[dict[str, Any]]:
    return store.scan(where, entity).sort("external_id", "order_at", "line_no").collect().to_dicts()


def row(where: Tenant, entity: str) -> dict[str, Any]:
    found = rows(where, entity)
    assert len(found) == 1
    return found[0]


def reasons(where: Tenant, entity: str) -> dict[int, str]:
    found = store.quarantine(where, entity)
    return dict(zip(found["line_no"].to_list(), found["reason"].to_list(), strict=True))


def counts(receipt: Receipt) -> tuple[int, int, int, int, int]:
    return (receipt.received, receipt.accepted, receipt.duplicate, receipt.superseded, receipt.quarantined)


def parquet(records: Sequence[Record]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(records, infer_schema_length=None).write_parquet(buffer)
    return buffer.getvalue()


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)
