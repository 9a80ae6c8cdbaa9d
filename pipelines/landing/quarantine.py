"""Refused rows, afterwards: an overview of reasons, and the replay of those that pass the rules of today.

A replay lands what passes as a batch of its own. The receipt of the first batch stays as it was; a marker beside it
names the rows that were moved and the batch they moved to, so that each moves once.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import layout, store, vault
from pipelines.landing.batch import read_batch
from pipelines.landing.ingest import ingest_bytes
from pipelines.landing.source import payload_of_bytes
from pipelines.landing.spool import Spool
from pipelines.storage.durable import write_bytes
from schemas.entities import ENTITIES


def waiting(tenant: Tenant, entity: str) -> pl.DataFrame:
    """Refused rows of an entity that no replay has moved; columns and order of ``quarantine``."""
    rows = store.quarantine(tenant, entity)
    moved = [
        {"batch_id": receipt.batch_id, "line_no": line}
        for receipt in store.committed(tenant, entity)
        for line in moved_lines(tenant, entity, receipt.batch_id)
    ]
    done = pl.DataFrame(moved, schema={"batch_id": pl.String, "line_no": pl.Int64})
    return rows.join(done, on=["batch_id", "line_no"], how="anti", maintain_order="left")


def grouped(tenant: Tenant, entity: str | None = None) -> pl.DataFrame:
    """Refused rows that wait: entity, reason, rows Int64, example_file, example_line Int64; most rows first."""
    rows = pl.concat([waiting(tenant, name) for name in _names(entity)])
    groups = rows.group_by("entity", "reason").agg(
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("file").sort_by("batch_id", "line_no").first().alias("example_file"),
        pl.col("line_no").sort_by("batch_id", "line_no").first().alias("example_line"),
    )
    return groups.sort("rows", "entity", "reason", descending=[True, False, False])


def _names(entity: str | None) -> list[str]:
    return [layout.entity_named(entity).name] if entity else list(ENTITIES)


def moved_lines(tenant: Tenant, entity: str, batch_id: str) -> list[int]:
    """Line numbers of a batch that a replay has moved."""
    marker = layout.replay_file(tenant, entity, batch_id)
    return list(json.loads(marker.read_bytes())["moved"]) if marker.exists() else []


def replay(tenant: Tenant, entity: str | None, *, received_at: datetime) -> list[dict[str, Any]]:
    """Read every waiting row again and land those that pass.

    Returns:
        One object a batch with waiting rows: entity, batch_id, tried, moved, left, moved_to (batch id or None).
    """
    outcomes = []
    for name in _names(entity):
        rows = waiting(tenant, name)
        for batch_id in rows["batch_id"].unique().sort():
            lines = rows.filter(pl.col("batch_id") == batch_id)["line_no"].to_list()
            outcomes.append(_replay_batch(tenant, name, batch_id, lines, received_at))
    return outcomes


def _replay_batch(
    tenant: Tenant, entity: str, batch_id: str, lines: list[int], received_at: datetime
) -> dict[str, Any]:
    raws = _raws(tenant, entity, batch_id)
    # What an erasure removed cannot be replayed.
    wanted = [line for line in lines if line > 0 and "\n" not in raws.get(line, "\n")]
    passing = passing_lines(tenant, entity, [raws[line] for line in wanted])
    moving = [line for line, passes in zip(wanted, passing, strict=True) if passes]
    moved_to = None
    if moving:
        name = f"replay-{batch_id}.ndjson"
        body = _body(tenant, entity, name, [raws[line] for line in moving])
        receipt = ingest_bytes(tenant, entity, body, name, source="file", received_at=received_at)
        moved_to = receipt.batch_id
        marker = {"moved": sorted({*moved_lines(tenant, entity, batch_id), *moving}), "moved_to": moved_to}
        write_bytes(layout.replay_file(tenant, entity, batch_id), json.dumps(marker).encode())
    moved = len(moving)
    return {
        "entity": entity,
        "batch_id": batch_id,
        "tried": len(lines),
        "moved": moved,
        "left": len(lines) - moved,
        "moved_to": moved_to,
    }


def _body(tenant: Tenant, entity: str, name: str, raws: list[str]) -> bytes:
    """The rows as a file that is no file received before, unless this very replay has landed it already.

    A file whose rows were all refused would otherwise be its own replay; blank lines change the bytes and nothing else.
    """
    body = "".join(raw + "\n" for raw in raws).encode()
    while True:
        body = b"\n" + body
        before = store.find_receipt(tenant, entity, hashlib.sha256(body).hexdigest())
        if before is None or before.file == name:
            return body


def _raws(tenant: Tenant, entity: str, batch_id: str) -> dict[int, str]:
    sealed = b"".join(vault.unseal(tenant, layout.sealed_quarantine(tenant, entity, batch_id)))
    records = [json.loads(line) for line in sealed.decode("utf-8", "surrogatepass").split("\n") if line]
    return {record["line_no"]: record["raw"] for record in records}


def passing_lines(tenant: Tenant, entity: str, raws: list[str]) -> list[bool]:
    """Whether each row passes the rules of today."""
    known = layout.entity_named(entity)
    if not raws:
        return []
    body = "".join(raw + "\n" for raw in raws).encode("utf-8", "replace")
    spool = Spool(layout.folder(tenant, entity) / ".replay", layout.split_schema(known))
    batch = read_batch(tenant, known, payload_of_bytes(body, "replay.ndjson"), spool)
    if batch.file_reason:
        return [False] * len(raws)
    bad = {row["line_no"] for row in batch.refused}
    return [line not in bad for line in range(1, len(raws) + 1)]
