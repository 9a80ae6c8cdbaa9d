"""Split files written by hand, for tests of what reads them: typed records in, committed batches out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant, TenantConfig
from pipelines.entities.natural_key import natural_id
from pipelines.landing import store
from pipelines.landing.layout import SORTED_BY, folder, receipt_file, split_file, split_schema
from pipelines.storage.hashing import subject_key
from schemas.entities import ENTITIES, Entity

#: Columns of a record that say what is done with it, beside the entity's own.
SYSTEM = {"op": pl.String(), "patch_fields": pl.String()}


def make_tenant(home: Path, zone: str = "Europe/London") -> Tenant:
    return Tenant(TenantConfig(id="demo", timezone=zone), home, home / "tenants" / "demo")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def record(**values: Any) -> dict[str, Any]:
    """A typed record; lists become canonical JSON, and a patch names the fields that it was given."""
    row = {
        name: json.dumps(value, sort_keys=True, separators=(",", ":")) if isinstance(value, list | dict) else value
        for name, value in values.items()
    }
    row.setdefault("op", "upsert")
    if row["op"] == "patch":
        named = sorted(name for name in row if name not in ("op", "external_id"))
        row["patch_fields"] = json.dumps(named, separators=(",", ":"))
    return row


def versions(entity: Entity, records: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Records as the columns that a fold needs."""
    frame = pl.DataFrame(list(records), schema={**SYSTEM, **entity.schema()}, orient="row")
    if entity.natural_key:
        frame = frame.with_columns(pl.coalesce("external_id", natural_id(entity)).alias("external_id"))
    ordered = pl.col(entity.ordered_by)
    if entity.name == "opt_outs":
        ordered = pl.coalesce(ordered, "occurred_at")
    return frame.with_columns(ordered.alias("order_at")).select(
        "order_at", "op", "patch_fields", *(column.name for column in entity.stored)
    )


def land(tenant: Tenant, name: str, records: Sequence[dict[str, Any]]) -> str:
    """Commit one batch after those that are there; the id of the batch."""
    entity = ENTITIES[name]
    place = folder(tenant, name)
    place.mkdir(parents=True, exist_ok=True)
    known = store.scan(tenant, name).select("external_id").collect()["external_id"]
    instant = pl.col(entity.day_instant)
    schema = split_schema(entity)
    split = versions(entity, records).with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line_no"),
        (local_date(instant, tenant.zone) if entity.partitioned else pl.lit(None, dtype=pl.Date)).alias("date"),
        subject_key("external_id").alias("id_key"),
        (pl.col("external_id").is_in(known.implode()) | ~pl.col("external_id").is_first_distinct()).alias("repeat"),
        *(pl.lit(None, dtype=pl.String).alias(column) for column in schema if column.endswith("__text")),
    )
    batch = hashlib.sha256(repr((name, len(store.committed(tenant, name)), records)).encode()).hexdigest()
    split.select(schema.names()).sort(SORTED_BY).write_parquet(split_file(tenant, name, batch), compression="snappy")
    dates = tuple(split["date"].drop_nulls().unique().sort())
    counts = {"received": len(records), "accepted": len(records), "duplicate": 0, "superseded": 0, "quarantined": 0}
    received = at("2026-03-01T00:00")
    receipt = store.Receipt(name, batch, f"{name}.ndjson", received, "file", 1, **counts, dates=dates)
    receipt_file(tenant, name, batch).write_bytes(receipt.to_json())
    return batch
