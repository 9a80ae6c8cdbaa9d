"""Rows too many for memory: a partition of the lake a piece at a time, and pieces that become one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from pipelines.storage.lake import ROW_GROUP, Lake

#: Rows in memory at once; row groups of the lake's files, so that none is decoded twice.
PIECE = 2 * ROW_GROUP

Footer = Callable[[], dict[str, str]]


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


def write_pieces(path: Path, pieces: Iterable[pl.DataFrame], schema: Mapping[str, pl.DataType], footer: Footer) -> int:
    """One snappy Parquet file; equal rows give equal bytes however they were cut.

    Args:
        path: of the file.
        pieces: frames of the schema, in the order of the file; taken one by one.
        schema: names and types of the columns.
        footer: metadata of the file, asked for once every row is written.

    Returns:
        Number of rows.

    Raises:
        Exception: what ``pieces`` raises, as it is.
    """
    failed: list[BaseException] = []
    written = [0]

    def source(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
        try:
            for piece in pieces:
                for start in range(0, piece.height, ROW_GROUP):
                    part = piece.slice(start, ROW_GROUP)
                    written[0] += part.height
                    yield part.select(columns or list(schema))
        except BaseException as error:
            failed.append(error)
            raise

    try:
        register_io_source(source, schema=pl.Schema(schema)).sink_parquet(
            path,
            maintain_order=True,
            compression="snappy",
            row_group_size=ROW_GROUP,
            statistics=True,
            metadata=lambda _: footer(),
        )
    except pl.exceptions.PolarsError:
        # The engine wraps what the source raises.
        if failed:
            raise failed[0] from None
        raise
    return written[0]
