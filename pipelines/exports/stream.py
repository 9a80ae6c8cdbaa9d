"""Rows too many for memory: a partition of the lake a piece at a time, and pieces that become one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.storage.hashing import SLICE, LogicalHash
from pipelines.storage.lake import Lake

#: Rows of a row group, which are also hashed together.
ROW_GROUP = SLICE

#: Rows in memory at once; row groups of the lake's files, so that none is decoded twice.
PIECE = 2 * ROW_GROUP

#: A text stands so often in the first rows, on average, if its column is written as a dictionary.
_REPEATS = 4
_DICTIONARY_BYTES = 64 << 20


def lake_pieces(lake: Lake, table: str, day: date | None) -> Iterator[pl.DataFrame]:
    """Rows of one partition in the order of its key; nothing where it was never published."""
    files = lake.files(table)
    if day not in files:
        return
    rows = lake.scan(table, None if day is None else [day], files=files)
    total = lake.rows(table)[day]
    for start in range(0, total, PIECE):
        yield rows.slice(start, PIECE).collect()


def filtered_pieces(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Rows of a query that keeps their order, a piece at a time."""
    yield from rows.collect_batches(chunk_size=PIECE, maintain_order=True)


def write_pieces(
    path: Path,
    pieces: Iterable[pl.DataFrame],
    schema: pl.Schema,
    key: Sequence[str],
    footer: Callable[[], dict[str, str]] = dict,
    logical: LogicalHash | None = None,
) -> int:
    """One snappy Parquet file; equal rows give equal bytes however they were cut.

    Texts that repeat are written as a dictionary, the others as they are. Keys and everything but texts have
    statistics, by which readers skip row groups.

    Args:
        path: of the file.
        pieces: frames of the schema, in the order of the file; taken one by one.
        schema: of the file.
        key: columns by which readers look for rows.
        footer: metadata of the file, asked for once every row is written.
        logical: is given every row, before ``footer`` is asked.

    Returns:
        Number of rows.

    Raises:
        Exception: what ``pieces`` raises, as it is.
    """
    rows, writer, writing = 0, None, None
    # Checking and hashing the next rows overlap with writing those before.
    with ThreadPoolExecutor(1) as pool:
        try:
            for part in row_groups(pieces, schema):
                table = _plain(part)
                if writing is not None:
                    writing.result()
                writer = writer or _writer(path, part, table.schema, key)
                writing = pool.submit(writer.write_table, table, ROW_GROUP) if part.height else None
                if logical is not None and part.height:
                    logical.absorb(part, table)
                rows += part.height
            if writing is not None:
                writing.result()
            if writer is not None:
                writer.add_key_value_metadata(footer())
        finally:
            if writer is not None:
                writer.close()
    return rows


def row_groups(pieces: Iterable[pl.DataFrame], schema: pl.Schema) -> Iterator[pl.DataFrame]:
    """The same rows cut every ``ROW_GROUP``; one frame without rows if there is none."""
    held = pl.DataFrame(schema=schema)
    any_yet = False
    for piece in pieces:
        rows = pl.concat([held, piece]) if held.height else piece
        whole = rows.height - rows.height % ROW_GROUP
        for start in range(0, whole, ROW_GROUP):
            any_yet = True
            yield rows.slice(start, ROW_GROUP)
        held = rows.slice(whole)
    if held.height or not any_yet:
        yield held


def _plain(part: pl.DataFrame) -> pa.Table:
    table = part.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    return table.cast(pa.schema([pa.field(field.name, field.type) for field in table.schema]))


def _writer(path: Path, first: pl.DataFrame, schema: pa.Schema, key: Sequence[str]) -> pq.ParquetWriter:
    # Decided by the first rows, which equal partitions share.
    texts = [name for name, kind in first.schema.items() if kind == pl.String]
    repeating = [name for name in texts if first[name].n_unique() * _REPEATS <= first.height]
    return pq.ParquetWriter(
        path,
        schema,
        compression="snappy",
        use_dictionary=repeating,
        write_statistics=[name for name in first.columns if name in key or name not in texts],
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        # Without it the file names no types of Arrow, and its texts are texts to every reader.
        store_schema=False,
    )
