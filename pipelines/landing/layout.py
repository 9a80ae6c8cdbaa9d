"""The split form of a batch: its columns, its order, and where its files are."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pipelines.config import Tenant
from pipelines.errors import UsageError
from pipelines.landing.typed import keeps_text
from schemas.entities import ENTITIES
from schemas.entities.envelope import Entity

SORTED_BY = ("date", "id_key", "order_at", "line_no")
ROW_GROUP_ROWS = 65_536


def entity_named(name: str) -> Entity:
    """An entity by name.

    Raises:
        UsageError: there is none; the message lists the known ones.
    """
    if name not in ENTITIES:
        raise UsageError(f"there is no entity {name!r}; entities: {', '.join(ENTITIES)}")
    return ENTITIES[name]


def split_schema(entity: Entity) -> pl.Schema:
    """Columns and dtypes of a split file: transport columns, stored columns, original texts of scalars.

    A file leaves out columns that none of its rows fills, and a text is null where ``originals`` gives it back.
    """
    own = {column.name for column in entity.received}
    transport = {
        "line_no": pl.Int64(),
        "op": pl.String(),
        "order_at": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
        "id_key": pl.Int64(),
        "repeat": pl.Boolean(),
        "patch_fields": pl.String(),
    }
    stored = {column.name: column.dtype for column in entity.stored}
    texts = {f"{c.name}__text": pl.String() for c in entity.stored if keeps_text(c) and c.name in own}
    return pl.Schema({**transport, **stored, **texts})


def folder(tenant: Tenant, entity: str) -> Path:
    """Where the batches of an entity are."""
    return tenant.landing / entity


def split_file(tenant: Tenant, entity: str, batch_id: str) -> Path:
    """The split form of a batch."""
    return folder(tenant, entity) / f"{batch_id}.parquet"


def scan_split(paths: Path | list[Path], entity: Entity) -> pl.LazyFrame:
    """Rows of split files, columns of ``split_schema``; in no order between files."""
    # A later contract appends columns, which older batches read as null, as they read what no row of a batch filled.
    return pl.scan_parquet(paths, schema=split_schema(entity), missing_columns="insert", hive_partitioning=False)


def quarantine_file(tenant: Tenant, entity: str, batch_id: str) -> Path:
    """The refused rows of a batch, redacted."""
    return folder(tenant, entity) / f"{batch_id}.quarantine.parquet"


def messages_file(tenant: Tenant, entity: str, batch_id: str) -> Path:
    """Hashes of the message ids of a batch and of what each said; only where there are any."""
    return folder(tenant, entity) / f"{batch_id}.messages.parquet"


def receipt_file(tenant: Tenant, entity: str, batch_id: str) -> Path:
    """The receipt of a batch: its commit point."""
    return folder(tenant, entity) / f"{batch_id}.json"


def replay_file(tenant: Tenant, entity: str, batch_id: str) -> Path:
    """What was moved out of a batch's quarantine, and where to."""
    return folder(tenant, entity) / f"{batch_id}.replay.json"


def sealed_raw(tenant: Tenant, batch_id: str) -> Path:
    """The received bytes, encrypted."""
    return tenant.vault / "raw" / f"{batch_id}.enc"


def sealed_personal(tenant: Tenant, entity: str, batch_id: str) -> Path:
    """The personal fields of a batch, encrypted."""
    return tenant.vault / entity / f"{batch_id}.enc"


def sealed_quarantine(tenant: Tenant, entity: str, batch_id: str) -> Path:
    """The refused rows of a batch as received, encrypted."""
    return tenant.vault / "quarantine" / entity / f"{batch_id}.enc"
