"""What a reader would stumble over in one downloaded file: columns, rows, order, keys and footer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from pipelines.exports.csv_format import read_csv, unguarded
from pipelines.exports.manifest import FileEntry, Manifest
from pipelines.exports.parquet import bounds
from pipelines.exports.stream import filtered_pieces
from pipelines.storage.conform import increases
from pipelines.storage.hashing import LogicalHash
from schemas.contract import Contract
from schemas.exports import CSV_FILES, DATASETS, file_contract


def file_problems(path: Path, manifest: Manifest, entry: FileEntry) -> Iterator[str]:
    """One line for each thing that is wrong; the bytes are known to be those that the manifest names.

    A file of another minor version has fewer or more columns at the right end, and is right.
    """
    if entry.name.endswith(".csv"):
        contract = CSV_FILES.get(entry.name.removesuffix(".csv"))
        rows = read_csv([path]) if contract else pl.LazyFrame()
        kinds = pl.Schema({column.name: pl.String() for column in contract or ()})
    else:
        contract = file_contract(manifest.dataset) if manifest.dataset in DATASETS else None
        rows = pl.scan_parquet(path)
        kinds = contract.schema if contract else pl.Schema()
    if contract is None:
        yield f"dataset {manifest.dataset} is not known"
        return
    found = rows.collect_schema().items()
    if any(ours != theirs for ours, theirs in zip(found, kinds.items(), strict=False)) or len(found) < len(
        contract.primary_key
    ):
        yield "columns are not those of the contract"
        return
    yield from _row_problems(rows, contract, manifest, entry)
    if entry.name.endswith(".parquet"):
        yield from _footer_problems(path, manifest)


def _row_problems(rows: pl.LazyFrame, contract: Contract, manifest: Manifest, entry: FileEntry) -> Iterator[str]:
    parquet = entry.name.endswith(".parquet")
    logical, height, ordered = LogicalHash(rows.collect_schema()), 0, True
    first: pl.DataFrame | None = None
    last: pl.DataFrame | None = None
    for piece in _non_empty(filtered_pieces(rows)):
        if parquet:
            logical.update(piece)
        keys = piece.select(contract.primary_key) if parquet else piece.select(unguarded(contract.primary_key))
        joined = pl.concat([last, keys]) if last is not None else keys
        ordered = ordered and (joined.height < 2 or increases(joined, contract.primary_key))
        first, last, height = keys.head(1) if first is None else first, keys.tail(1), height + piece.height
    if height != entry.rows:
        yield f"has {height} rows, the manifest says {entry.rows}"
    if not ordered:
        yield "rows are not in the order of the primary key, or repeat one"
    ends = bounds(pl.concat([first, last]), contract.primary_key) if first is not None and last is not None else None
    if parquet and ends != ((entry.min_key, entry.max_key) if entry.min_key else None):
        yield "first and last key are not those of the manifest"
    if parquet and len(manifest.files) == 1 and logical.hexdigest() != manifest.logical_sha256:
        yield "the logical hash of the rows is not that of the manifest"


def _non_empty(pieces: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    return (piece for piece in pieces if piece.height)


def _footer_problems(path: Path, manifest: Manifest) -> Iterator[str]:
    footer = pl.read_parquet_metadata(path)
    said = {
        "dataset": manifest.dataset,
        "date": manifest.date,
        "schema_version": manifest.schema.get("version"),
        "logical_sha256": manifest.logical_sha256,
    }
    for name, value in said.items():
        if footer.get(f"murmuration.{name}") != value:
            yield f"{name} in the footer is not that of the manifest"
