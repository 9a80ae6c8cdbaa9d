"""One partition of a Parquet dataset: sorted, snappy, the same bytes for the same rows, in parts when it is large."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.exports.publish import Content, DataFile
from pipelines.exports.stream import filtered_pieces, write_pieces
from pipelines.storage.conform import conform_parts
from pipelines.storage.hashing import LogicalHash, file_sha256, subject_key
from schemas.contract import Contract
from schemas.exports import DATASETS, contract_sha256, file_contract

PART = "part-00000.snappy.parquet"
#: A partition of more bytes is published in parts; ``MURMUR_EXPORT_PART_BYTES`` sets another limit.
PART_BYTES = 1 << 30
#: Parts are made for nine tenths of the limit, since hashes do not cut evenly.
_FILL = 0.9
#: Columns by which rows go to parts, the first that a dataset has.
_SUBJECTS = ("subject", "flockr_vid", "customer_id")


@dataclass
class _Seen:
    """What is known of the rows once all have gone by."""

    contract: Contract
    logical: LogicalHash
    ends: tuple[pl.DataFrame, pl.DataFrame] | None = None

    @classmethod
    def of(cls, contract: Contract) -> _Seen:
        return cls(contract, LogicalHash(contract.schema))

    def watch(self, pieces: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for piece in pieces:
            if piece.height:
                self.ends = (self.ends[0] if self.ends else piece.head(1), piece.tail(1))
            yield piece


def write_partition(
    dataset: str, tenant: str, day: date, rows: pl.DataFrame | Iterable[pl.DataFrame], folder: Path, **about: Any
) -> Content:
    """Check, sort and write one partition.

    Args:
        dataset: a name of ``schemas.exports.DATASETS``.
        tenant: tenant id, for the footer.
        day: the partition.
        rows: a frame with the columns of the dataset, ``date`` or not, in any order; or frames that follow each other
            in the order of its key, of which few are in memory at once.
        folder: where the files are written; it must be empty.
        about: ``unresolved``, ``completeness`` and ``inputs`` of the content.

    Raises:
        ContractError: the rows do not satisfy the contract of the dataset.
    """
    contract = file_contract(dataset)
    key = contract.primary_key
    seen = _Seen.of(contract)
    said = {
        "murmuration.dataset": dataset,
        "murmuration.schema_version": contract.version,
        "murmuration.tenant": tenant,
        "murmuration.date": day.isoformat(),
    }

    def footer() -> dict[str, str]:
        # Asked for by every file of the partition, all after the rows have gone by.
        said.setdefault("murmuration.logical_sha256", seen.logical.hexdigest())
        return said

    frames = (rows,) if isinstance(rows, pl.DataFrame) else rows
    pieces = conform_parts((frame.drop("date", strict=False) for frame in frames), contract, None)
    whole = folder / PART
    count = write_pieces(whole, seen.watch(pieces), contract.schema, key, footer, seen.logical)
    files = _parts(whole, contract, footer) or [_file(whole, count, contract, seen.ends)]
    schema = {"name": dataset, "version": contract.version, "sha256": contract_sha256(DATASETS[dataset])}
    return Content(files, said["murmuration.logical_sha256"], schema, read_parquet, **about)


def _file(path: Path, rows: int, contract: Contract, ends: tuple[pl.DataFrame, pl.DataFrame] | None) -> DataFile:
    key = contract.primary_key
    group = f"{contract.name}.parquet"
    return DataFile(
        path.name, path, rows, file_sha256(path), key, bounds(pl.concat(ends), key) if ends else None, group
    )


def _parts(whole: Path, contract: Contract, footer: Callable[[], dict[str, str]]) -> list[DataFile]:
    """The file cut by hash of the subject into files below the limit; nothing when it is small enough."""
    limit = int(os.environ.get("MURMUR_EXPORT_PART_BYTES") or PART_BYTES)
    size = whole.stat().st_size
    if size <= limit:
        return []
    # The number follows from the bytes, which follow from the rows.
    number = math.ceil(size / (limit * _FILL))
    column = next((name for name in _SUBJECTS if name in contract), contract.primary_key[0])
    of_part = (subject_key(column).reinterpret(signed=False) % number).fill_null(0)
    key = contract.primary_key
    large = whole.rename(whole.with_name("whole"))
    files = []
    for part in range(number):
        path = whole.with_name(f"part-{part:05}.snappy.parquet")
        seen = _Seen.of(contract)
        pieces = filtered_pieces(pl.scan_parquet(large).filter(of_part == part))
        rows = write_pieces(path, seen.watch(pieces), contract.schema, key, footer, seen.logical)
        files.append(_file(path, rows, contract, seen.ends))
    large.unlink()
    return files


def read_parquet(paths: Sequence[Path]) -> pl.LazyFrame:
    """Rows of exported files."""
    return pl.scan_parquet(list(paths))


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
