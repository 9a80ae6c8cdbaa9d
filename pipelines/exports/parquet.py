"""One partition of a Parquet dataset as one file: sorted, snappy, the same bytes for the same rows."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.exports.publish import Content, DataFile
from pipelines.storage.hashing import file_sha256, logical_sha256
from pipelines.storage.lake import ROW_GROUP, conform
from schemas.exports import DATASETS, FREE_TEXT, contract_sha256, file_contract

PART = "part-00000.snappy.parquet"


def events(customer_events: pl.DataFrame) -> pl.DataFrame:
    """Rows of the ``events`` dataset: events under ``event_id``, without the fields that people type into."""
    return customer_events.drop(FREE_TEXT).rename({"external_id": "event_id"})


def write_partition(dataset: str, tenant: str, day: date, frame: pl.DataFrame, folder: Path, **about: Any) -> Content:
    """Check, sort and write one partition.

    Args:
        dataset: a name of ``schemas.exports.DATASETS``.
        tenant: tenant id, for the footer.
        day: the partition.
        frame: columns of the dataset with or without ``date``, in any order.
        folder: where the file is written; it must be empty.
        about: ``unresolved``, ``completeness`` and ``inputs`` of the content.

    Raises:
        ContractError: the rows do not satisfy the contract of the dataset.
    """
    contract = file_contract(dataset)
    rows = conform(frame.drop("date", strict=False), contract, None)
    logical = logical_sha256(rows)
    path = folder / PART
    footer = {
        "murmuration.dataset": dataset,
        "murmuration.schema_version": contract.version,
        "murmuration.tenant": tenant,
        "murmuration.date": day.isoformat(),
        "murmuration.logical_sha256": logical,
    }
    rows.write_parquet(path, compression="snappy", row_group_size=ROW_GROUP, statistics=True, metadata=footer)
    file = DataFile(
        PART, path, rows.height, file_sha256(path), contract.primary_key, bounds(rows, contract.primary_key)
    )
    schema = {"name": dataset, "version": contract.version, "sha256": contract_sha256(DATASETS[dataset])}
    return Content([file], logical, schema, read_parquet, **about)


def read_parquet(data: bytes) -> pl.DataFrame:
    """Rows of an exported file."""
    return pl.read_parquet(io.BytesIO(data))


def bounds(rows: pl.DataFrame, key: tuple[str, ...]) -> tuple[list[str | None], list[str | None]] | None:
    """Keys of the first and last row as text; None when there is no row."""
    if not rows.height:
        return None
    ends = pl.concat([rows.select(key).head(1), rows.select(key).tail(1)])
    instants = [
        pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ") for name, t in ends.schema.items() if t == pl.Datetime
    ]
    first, last = ends.with_columns(instants).cast(pl.String).rows()
    return list(first), list(last)
