"""Refused rows, afterwards: an overview of reasons, and the replay of those that pass the rules of today.

A replay lands what passes as a batch of its own; so does a file that was refused whole. The receipt of the first batch
stays as it was; a marker beside it names the rows that were moved and the batch they moved to, so that each moves once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import layout, store, vault
from pipelines.landing.batch import read_batch
from pipelines.landing.ingest import ingest_bytes, publish
from pipelines.landing.locks import alone, one_replay
from pipelines.landing.rules import rule_of
from pipelines.landing.source import payload_of_bytes
from pipelines.landing.spool import Spool
from pipelines.landing.store import Receipt
from pipelines.storage.durable import write_bytes
from schemas.entities import ENTITIES


def waiting(tenant: Tenant, entity: str) -> pl.DataFrame:
    """Refused rows of an entity that no replay has moved; columns and order of ``quarantine``."""
    done = moved(tenant, entity)
    return store.quarantine(tenant, entity).join(done, on=done.columns, how="anti", maintain_order="left")


def moved(tenant: Tenant, entity: str) -> pl.DataFrame:
    """Refused rows that a replay has moved: entity, batch_id, line_no."""
    lines = [
        (entity, receipt.batch_id, line)
        for receipt in store.committed(tenant, entity)
        if receipt.quarantined
        for line in moved_lines(tenant, entity, receipt.batch_id)
    ]
    schema = pl.Schema({"entity": pl.String(), "batch_id": pl.String(), "line_no": pl.Int64()})
    return pl.DataFrame(lines, schema=schema, orient="row")


def listed(
    tenant: Tenant, entity: str | None = None, *, reason: str | None = None, batch: str | None = None
) -> pl.DataFrame:
    """Refused rows that wait: the columns of ``quarantine``, ``received_at``, and ``expired`` Boolean.

    Args:
        tenant: whose.
        entity: only this one.
        reason: only this reason, or this rule whatever the field.
        batch: only batches whose id begins so.
    """
    rows = pl.concat([_with_batch(tenant, name, waiting(tenant, name)) for name in _names(entity)])
    if reason is not None:
        rows = rows.filter((pl.col("reason") == reason) | (pl.col("rule") == reason))
    return rows if batch is None else rows.filter(pl.col("batch_id").str.starts_with(batch))


def _with_batch(tenant: Tenant, entity: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Add when each row was received, and whether what was received has left the vault since."""
    named = set(rows["batch_id"])
    known = [
        (
            receipt.batch_id,
            receipt.received_at,
            not _sealed(tenant, entity, receipt.batch_id, bool(receipt.file_reason)).exists(),
        )
        for receipt in store.committed(tenant, entity)
        if receipt.batch_id in named
    ]
    schema = pl.Schema({"batch_id": pl.String(), "received_at": pl.Datetime("us", "UTC"), "expired": pl.Boolean()})
    found = pl.DataFrame(known, schema=schema, orient="row")
    return rows.join(found, on="batch_id", how="left", maintain_order="left")


def _sealed(tenant: Tenant, entity: str, batch_id: str, whole: bool) -> Path:
    """Where the vault keeps what was refused: the rows, or for a file that was refused whole its bytes."""
    return layout.sealed_raw(tenant, batch_id) if whole else layout.sealed_quarantine(tenant, entity, batch_id)


def grouped(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``listed`` by entity and reason, most rows first.

    Returns:
        entity, reason, rows and expired Int64, first_seen and last_seen Datetime(us, UTC), example_file, example_line
        Int64 (of the first batch), meaning and fix.
    """
    first = pl.struct("received_at", "batch_id", "line_no")
    groups = rows.group_by("entity", "reason").agg(
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("expired").cast(pl.Int64).sum(),
        pl.col("received_at").min().alias("first_seen"),
        pl.col("received_at").max().alias("last_seen"),
        pl.col("file").sort_by(first).first().alias("example_file"),
        pl.col("line_no").sort_by(first).first().alias("example_line"),
    )
    said = [
        pl.col("reason").map_elements(lambda reason: rule_of(reason).meaning, return_dtype=pl.String).alias("meaning"),
        pl.col("reason").map_elements(lambda reason: rule_of(reason).fix, return_dtype=pl.String).alias("fix"),
    ]
    return groups.with_columns(said).sort("rows", "entity", "reason", descending=[True, False, False])


def _names(entity: str | None) -> list[str]:
    return [layout.entity_named(entity).name] if entity else list(ENTITIES)


def moved_lines(tenant: Tenant, entity: str, batch_id: str) -> list[int]:
    """Line numbers of a batch that a replay has moved."""
    marker = layout.replay_file(tenant, entity, batch_id)
    return list(json.loads(marker.read_bytes())["moved"]) if marker.exists() else []


def replay(tenant: Tenant, entity: str | None, *, received_at: datetime) -> list[dict[str, Any]]:
    """Read every waiting row again and land those that pass.

    Returns:
        One object a batch with waiting rows: entity, batch_id, tried, moved, left (expired ones included), expired (no
        longer in the vault), moved_to (batch id or None).
    """
    outcomes = []
    for name in _names(entity):
        for batch_id in waiting(tenant, name)["batch_id"].unique().sort():
            with one_replay(tenant, name):
                # Another replay may have moved rows while this one waited.
                rows = waiting(tenant, name).filter(pl.col("batch_id") == batch_id)
                if rows.height:
                    outcomes.append(_replay_batch(tenant, name, batch_id, rows["line_no"].to_list(), received_at))
    return outcomes


def _replay_batch(
    tenant: Tenant, entity: str, batch_id: str, lines: list[int], received_at: datetime
) -> dict[str, Any]:
    whole = lines == [0]
    if not _sealed(tenant, entity, batch_id, whole).exists():
        return _outcome(entity, batch_id, len(lines), 0, len(lines), None)
    if whole:
        moved_to = _replay_file(tenant, entity, batch_id, received_at)
        moving = [0] if moved_to else []
    else:
        moving, moved_to = _replay_rows(tenant, entity, batch_id, lines, received_at)
    if moving:
        marker = {"moved": sorted({*moved_lines(tenant, entity, batch_id), *moving}), "moved_to": moved_to}
        write_bytes(layout.replay_file(tenant, entity, batch_id), json.dumps(marker).encode())
    return _outcome(entity, batch_id, len(lines), len(moving), 0, moved_to)


def _outcome(entity: str, batch_id: str, tried: int, moved: int, expired: int, moved_to: str | None) -> dict[str, Any]:
    counts = {"tried": tried, "moved": moved, "left": tried - moved, "expired": expired}
    return {"entity": entity, "batch_id": batch_id, **counts, "moved_to": moved_to}


def _replay_file(tenant: Tenant, entity: str, batch_id: str, received_at: datetime) -> str | None:
    """Land a file that was refused whole, if it can be read now; the id of its new batch, or None."""
    known = layout.entity_named(entity)
    before = store.find_receipt(tenant, entity, batch_id)
    moved_to = hashlib.sha256(f"replay of {batch_id}".encode()).hexdigest()
    if before is None:
        return None
    if store.find_receipt(tenant, entity, moved_to):
        return moved_to
    payload = payload_of_bytes(b"".join(vault.unseal(tenant, layout.sealed_raw(tenant, batch_id))), before.file)
    with alone(tenant, known) as work:
        batch = read_batch(tenant, known, payload, Spool(work, layout.split_schema(known)))
        if batch.file_reason:
            return None
        draft = Receipt(entity, moved_to, f"replay-{before.file}", received_at, "file", before.bytes, 0, 0, 0, 0, 0)
        publish(tenant, known, batch, replace(draft, replay_of=batch_id))
    return moved_to


def _replay_rows(
    tenant: Tenant, entity: str, batch_id: str, lines: list[int], received_at: datetime
) -> tuple[list[int], str | None]:
    """Land the rows that pass now; their lines, and the id of their new batch."""
    raws = _raws(tenant, entity, batch_id)
    # What an erasure removed cannot be replayed.
    wanted = [line for line in lines if line > 0 and "\n" not in raws.get(line, "\n")]
    passing = passing_lines(tenant, entity, [raws[line] for line in wanted])
    moving = [line for line, passes in zip(wanted, passing, strict=True) if passes]
    if not moving:
        return [], None
    name = f"replay-{batch_id}.ndjson"
    body = _body(tenant, entity, name, [raws[line] for line in moving])
    receipt = ingest_bytes(tenant, entity, body, name, source="file", received_at=received_at, replay_of=batch_id)
    return moving, receipt.batch_id


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
    with TemporaryDirectory(dir=layout.folder(tenant, entity), prefix=".replay") as work:
        spool = Spool(Path(work), layout.split_schema(known))
        batch = read_batch(tenant, known, payload_of_bytes(body, "replay.ndjson"), spool)
        if batch.file_reason:
            return [False] * len(raws)
        bad = {line for rows in batch.refused.pieces() for line in rows["line_no"]}
    return [line not in bad for line in range(1, len(raws) + 1)]
