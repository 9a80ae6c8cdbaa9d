"""Landing a file or a request body: once, whole, durable, and with every row accounted for.

What is written, in this order, each whole and flushed: received bytes, personal fields and refused rows (all
encrypted), the quarantine file, the split file, and last the receipt, which is the commit point. A run that is killed
in between leaves nothing that readers trust, and the next one writes the same again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from pipelines.config import Tenant
from pipelines.errors import MurmurError, unforeseen
from pipelines.landing import accounting, contacts, erasure, free_text, layout, messages, repeats, store, vault
from pipelines.landing.batch import Batch, quarantine_rows, read_batch
from pipelines.landing.locks import alone
from pipelines.landing.outcomes import outcomes
from pipelines.landing.source import Payload, ending_of, payload_of_bytes, payload_of_file
from pipelines.landing.spool import Spool, detached
from pipelines.landing.store import Receipt
from pipelines.storage.durable import create_bytes, replacing
from schemas.entities import ENTITIES
from schemas.entities.envelope import Entity
from schemas.tables import QUARANTINE


def ingest_file(tenant: Tenant, entity: str, path: Path, *, source: str = "file", received_at: datetime) -> Receipt:
    """Land one file.

    Args:
        tenant: whose file it is.
        entity: what its records are.
        path: ``.ndjson``, ``.json``, ``.csv`` or ``.parquet``, each also ``.gz`` or ``.zst``.
        source: ``file`` or ``drop``.
        received_at: when it was received, for the ledger.

    Returns:
        The receipt; for a file that landed before, its receipt with every row a duplicate and ``known`` set.

    Raises:
        UsageError: unknown entity or format, missing file, folder; nothing was done.
        MurmurError: the file changed while it was read; nothing landed.
    """
    layout.entity_named(entity)
    return ingest_payload(tenant, entity, payload_of_file(path), source=source, received_at=received_at)


def ingest_bytes(
    tenant: Tenant,
    entity: str,
    data: bytes,
    name: str,
    *,
    source: str = "http",
    received_at: datetime,
    outcomes: bool = False,
    replay_of: str | None = None,
) -> Receipt:
    """Land one request body; ``name`` says its format, such as ``body.ndjson.gz``. Else as ``ingest_payload``."""
    told = _Told(source, received_at, outcomes, replay_of)
    return _ingest(tenant, entity, payload_of_bytes(data, name), told)


def ingest_payload(
    tenant: Tenant, entity: str, payload: Payload, *, source: str, received_at: datetime, outcomes: bool = False
) -> Receipt:
    """Land bytes that can be read again and again; as ``ingest_file``.

    Args:
        tenant: whose they are.
        entity: what the records are.
        payload: the bytes.
        source: ``file``, ``drop`` or ``http``.
        received_at: when they were received, for the ledger.
        outcomes: also tell what became of each row, in the receipt's ``outcomes``.
    """
    return _ingest(tenant, entity, payload, _Told(source, received_at, outcomes))


def _ingest(tenant: Tenant, entity: str, payload: Payload, told: _Told) -> Receipt:
    known = layout.entity_named(entity)
    with _discreet(tenant, payload):
        return _land(tenant, known, payload, told)


@contextmanager
def _discreet(tenant: Tenant, payload: Payload) -> Iterator[None]:
    """Turn an error that nobody foresaw into one that quotes no record: whoever runs this may log what is raised."""
    try:
        yield
    except MurmurError:
        raise
    except Exception as error:
        if os.environ.get("MURMUR_DEBUG") == "1":
            raise
        raise MurmurError(f"{_shown(tenant, payload)}: nothing landed; {unforeseen(error)}") from None


def _shown(tenant: Tenant, payload: Payload) -> str:
    """The file's name, without contact details; its ending stays, since a replay reads by it."""
    ending = ending_of(payload.name)
    return free_text.shown_name(payload.name.removesuffix(ending), contacts.country_of(tenant)) + ending


@dataclass(frozen=True)
class _Told:
    """What the caller says about a batch and wants to know of it."""

    source: str
    received_at: datetime
    outcomes: bool
    replay_of: str | None = None


class _KnownError(Exception):
    """The batch has landed before; ``args[0]`` is its receipt."""


def _land(tenant: Tenant, entity: Entity, payload: Payload, told: _Told) -> Receipt:
    # A missing or wrong key is noticed before anything is read.
    vault.vault_keys(tenant)
    with alone(tenant, entity) as work, ThreadPoolExecutor(1) as pool:
        stamp = payload.stamp()
        # Hashing and sealing run beside the parsing; a file that turns out to be known stops it.
        naming = pool.submit(_name, tenant, entity, payload)
        sealing = pool.submit(lambda: vault.seal(tenant, layout.sealed_raw(tenant, naming.result()), payload.blocks()))

        def go_on() -> None:
            if naming.done():
                naming.result()

        try:
            batch = read_batch(tenant, entity, payload, Spool(work, layout.split_schema(entity)), go_on)
            batch_id = naming.result()
        except _KnownError as known:
            before = _again(known.args[0], _shown(tenant, payload))
            if not told.outcomes:
                return before
            again = read_batch(tenant, entity, payload, Spool(work / "again", layout.split_schema(entity)))
            return replace(before, outcomes=outcomes(again, None))
        sealing.result()
        if payload.stamp() != stamp:
            raise MurmurError(f"{_shown(tenant, payload)}: changed while it was read; nothing landed, send it again")
        return publish(
            tenant, entity, batch, _draft(entity, batch_id, payload, _shown(tenant, payload), told), told.outcomes
        )


def _name(tenant: Tenant, entity: Entity, payload: Payload) -> str:
    batch_id = payload.sha256()
    before = store.find_receipt(tenant, entity.name, batch_id)
    if before is not None:
        raise _KnownError(before)
    return batch_id


def _draft(entity: Entity, batch_id: str, payload: Payload, name: str, told: _Told) -> Receipt:
    counts = (0, 0, 0, 0, 0)
    draft = Receipt(entity.name, batch_id, name, told.received_at, told.source, payload.size, *counts)
    return replace(draft, replay_of=told.replay_of)


def _again(before: Receipt, name: str) -> Receipt:
    return replace(
        before,
        duplicate=before.received,
        accepted=0,
        superseded=0,
        quarantined=0,
        file_reason=None,
        conflicting_messages=0,
        known=True,
        sent_as=name,
    )


def publish(tenant: Tenant, entity: Entity, batch: Batch, draft: Receipt, each: bool = False) -> Receipt:
    """Write everything of a batch, the receipt last. The caller holds the entity's lock."""
    batch_id = draft.batch_id
    found = _repeats(tenant, entity, batch)
    if batch.sealed_people:
        vault.seal(tenant, layout.sealed_personal(tenant, entity.name, batch_id), batch.sealed_people)
    if batch.quarantined:
        vault.seal(tenant, layout.sealed_quarantine(tenant, entity.name, batch_id), batch.sealed_rows)
        with replacing(layout.quarantine_file(tenant, entity.name, batch_id)) as temporary:
            _write_frames(temporary, quarantine_rows(batch, entity, batch_id, draft.file), QUARANTINE.schema)
    split = layout.split_file(tenant, entity.name, batch_id)
    with replacing(split) as temporary:
        batch.spool.write(temporary, found.duplicates, found.repeats)
    with erasure.settled(tenant, draft):
        conflicting = messages.keep(tenant, entity, batch_id, batch.messages)
        receipt = replace(_receipt(draft, batch, found, split), conflicting_messages=conflicting)
        create_bytes(layout.receipt_file(tenant, entity.name, batch_id), receipt.to_json())
    return replace(receipt, outcomes=outcomes(batch, found)) if each else receipt


def _write_frames(path: Path, frames: Iterator[pl.DataFrame], schema: pl.Schema) -> None:
    def source(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield frame if columns is None else frame.select(columns)

    register_io_source(source, schema=schema).sink_parquet(path, maintain_order=True, compression="snappy")


def _repeats(tenant: Tenant, entity: Entity, batch: Batch) -> repeats.Repeats:
    def own(hits: pl.DataFrame) -> pl.DataFrame:
        parts = (repeats.versions(rows.lazy(), entity).collect() for rows in batch.spool.having(hits))
        return pl.concat(detached(part) for part in parts)

    landed = any(r.accepted + r.superseded for r in store.committed(tenant, entity.name))
    earlier = store.scan(tenant, entity.name) if landed else None
    return repeats.find(batch.spool.keys, earlier, own, entity)


def _receipt(draft: Receipt, batch: Batch, found: repeats.Repeats, split: Path) -> Receipt:
    stored = len(batch.spool.keys) - len(found.duplicates)
    landed = repeats.by_day(layout.scan_split(split, ENTITIES[draft.entity]))
    days = sorted(day for day in landed if day is not None)
    return replace(
        draft,
        received=batch.received,
        accepted=stored - found.superseded,
        duplicate=len(found.duplicates),
        superseded=found.superseded,
        quarantined=batch.quarantined,
        first_date=days[0] if days else None,
        last_date=days[-1] if days else None,
        file_reason=batch.file_reason,
        dates=tuple(days),
        partitions=accounting.partitions(landed, found.duplicate_days, found.superseded_days, batch.refused_days),
        unknown_fields=dict(sorted(batch.unknown.items())),
        masked=dict(sorted(batch.masked.items())),
    )
