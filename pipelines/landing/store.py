"""Reading what has landed. A batch exists when its receipt does; everything else beside it is ignored."""

from __future__ import annotations

import builtins
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.config import Tenant
from pipelines.landing.accounting import Partition, from_rows, to_rows
from pipelines.landing.layout import folder, quarantine_file, receipt_file, scan_split, split_file, split_schema
from pipelines.storage.hashing import identifier
from schemas.entities import ENTITIES
from schemas.tables import BATCHES, QUARANTINE

if TYPE_CHECKING:
    from pipelines.landing.outcomes import Outcome


@dataclass(frozen=True)
class Receipt:
    """What became of one received file or body; fields up to ``replay_of`` are columns of ``batches``.

    Attributes:
        replay_of: batch whose refused rows it replays.
        dates: tenant days that rows of a partitioned entity fall on, sorted.
        unknown_fields: names of received fields that no contract declares, and in how many pieces they were seen; their
            values were dropped.
        masked: free text columns, and how many of their cells held a contact detail that went to the vault.
        partitions: the counts, divided by tenant day.
        known: this file had been received before, so that nothing was done; never stored.
        sent_as: the name under which it came this time; never stored.
        outcomes: what became of each row, where the caller asked for it; never stored.
    """

    entity: str
    batch_id: str
    file: str
    received_at: datetime
    source: str
    bytes: int
    received: int
    accepted: int
    duplicate: int
    superseded: int
    quarantined: int
    first_date: date | None = None
    last_date: date | None = None
    file_reason: str | None = None
    conflicting_messages: int = 0
    replay_of: str | None = None
    dates: tuple[date, ...] = ()
    unknown_fields: dict[str, int] = field(default_factory=dict)
    masked: dict[str, int] = field(default_factory=dict)
    partitions: tuple[Partition, ...] = ()
    known: bool = False
    sent_as: str | None = None
    outcomes: tuple[Outcome, ...] | None = None

    def row(self) -> dict[str, Any]:
        """The columns of ``batches`` but ``replayed``, which later batches decide."""
        return {name: getattr(self, name) for name in BATCHES.names if name != "replayed"}

    def to_json(self) -> builtins.bytes:
        """The stored form: the columns of ``batches``, then ``dates``, what was seen and ``partitions``."""
        seen = {"dates": self.dates, "unknown_fields": self.unknown_fields, "masked": self.masked}
        record = {**self.row(), **seen, "partitions": to_rows(self.partitions)}
        return json.dumps(record, default=_text, ensure_ascii=False, indent=1).encode()


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def load_receipt(path: Path) -> Receipt:
    """A stored receipt."""
    # Receipts never change, and a run over many days asks for each of them once a day.
    return _load_receipt(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=65_536)
def _load_receipt(path: Path, _written: int) -> Receipt:
    record = json.loads(path.read_bytes())
    for name in ("first_date", "last_date"):
        record[name] = date.fromisoformat(record[name]) if record[name] else None
    record["received_at"] = datetime.fromisoformat(record["received_at"])
    record["dates"] = tuple(date.fromisoformat(day) for day in record["dates"])
    record["partitions"] = from_rows(record.get("partitions", []))
    return Receipt(**record)


def find_receipt(tenant: Tenant, entity: str, batch_id: str) -> Receipt | None:
    """The receipt of a batch, or None when it has not landed."""
    path = receipt_file(tenant, entity, batch_id)
    return load_receipt(path) if path.exists() else None


def committed(tenant: Tenant, entity: str) -> list[Receipt]:
    """Every receipt of an entity, sorted by batch id."""
    found = sorted(folder(tenant, entity).glob("*.json"))
    return [load_receipt(path) for path in found if "." not in path.stem]


def receipts(tenant: Tenant, entity: str) -> list[dict[str, Any]]:
    """``Receipt.row`` of every batch of an entity, sorted by batch id."""
    return [receipt.row() for receipt in committed(tenant, entity)]


def dates(tenant: Tenant, entity: str) -> list[date]:
    """Days that any row of a partitioned entity falls on, sorted."""
    return sorted({day for receipt in committed(tenant, entity) for day in receipt.dates})


def fingerprint(tenant: Tenant, entity: str, days: Sequence[date] | None = None) -> str:
    """Hash of the ids of the batches with rows on the days; of all batches without days."""
    return identifier(entity, *(receipt.batch_id for receipt in _overlapping(tenant, entity, days)))


def scan(tenant: Tenant, entity: str, days: Sequence[date] | None = None) -> pl.LazyFrame:
    """Every landed version of an entity, columns of ``layout.split_schema``; in no order between batches.

    Args:
        tenant: whose.
        entity: its name.
        days: only rows of these tenant days; batches without them are not opened.
    """
    files = [
        split_file(tenant, entity, receipt.batch_id)
        for receipt in _overlapping(tenant, entity, days)
        if receipt.accepted + receipt.superseded
    ]
    if not files:
        return pl.LazyFrame(schema=split_schema(ENTITIES[entity]))
    frame = scan_split(files, ENTITIES[entity])
    if days is None:
        return frame
    wanted = sorted(set(days))
    between = pl.col("date").is_between(wanted[0], wanted[-1])
    gaps = (wanted[-1] - wanted[0]).days + 1 != len(wanted)
    return frame.filter(between & pl.col("date").is_in(wanted)) if gaps else frame.filter(between)


def _overlapping(tenant: Tenant, entity: str, days: Sequence[date] | None) -> list[Receipt]:
    found = committed(tenant, entity)
    if days is None:
        return found
    wanted = set(days)
    return [receipt for receipt in found if not wanted.isdisjoint(receipt.dates)]


def quarantine(tenant: Tenant, entity: str) -> pl.DataFrame:
    """Every refused row of an entity, columns of ``quarantine``, sorted by its primary key."""
    files = [quarantine_file(tenant, entity, r.batch_id) for r in committed(tenant, entity) if r.quarantined]
    # Refused rows of an earlier version lack the columns that came later.
    frames = [pl.read_parquet(path, schema=QUARANTINE.schema, missing_columns="insert") for path in files]
    return pl.concat(frames).sort(QUARANTINE.primary_key) if frames else QUARANTINE.empty()
