"""Typed rows of a batch on their way to one sorted file, in bounded memory.

One piece stays in memory. From the second on, pieces wait as Arrow files, cut into ranges of the final order, and the
file is written range by range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from pipelines.landing.layout import ROW_GROUP_ROWS, SORTED_BY

#: Without days, rows are cut by the top bits of their key, which is a hash and so spreads evenly.
_KEY_RANGE = 1 << 58


class Spool:
    """The rows of one batch, in pieces.

    Args:
        folder: where pieces may wait; made when needed, and the caller removes it.
        schema: of every piece and of the file.
    """

    def __init__(self, folder: Path, schema: pl.Schema) -> None:
        self.folder = folder
        self._schema = schema
        self._held: pl.DataFrame | None = None
        self._parts: list[tuple[Path, dict[int, tuple[int, int]]]] = []
        self._keys: list[pl.Series] = []

    def add(self, piece: pl.DataFrame) -> None:
        """Take one more piece."""
        if not piece.height:
            return
        self._keys.append(piece["id_key"])
        if self._held is None and not self._parts:
            self._held = piece
            return
        if self._held is not None:
            self._spill(self._held)
            self._held = None
        self._spill(piece)

    @property
    def keys(self) -> pl.Series:
        """id_key of every row."""
        return pl.concat(self._keys) if self._keys else pl.Series("id_key", [], dtype=pl.Int64)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Every piece once more, in no particular row order."""
        if self._held is not None:
            yield self._held
        for path, _ in self._parts:
            yield _mapped(path)

    def write(self, path: Path, dropped: pl.Series, repeated: pl.Series) -> None:
        """Write the file: without the dropped line numbers, with ``repeat`` set, sorted by ``SORTED_BY``."""
        frames = (_final(frame, dropped, repeated) for frame in self._ranges())
        if not self._parts:
            frame = next(frames, pl.DataFrame(schema=self._schema))
            frame.write_parquet(path, compression="snappy", row_group_size=ROW_GROUP_ROWS, statistics=True)
            return

        def source(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
            for frame in frames:
                yield frame if columns is None else frame.select(columns)

        register_io_source(source, schema=self._schema).sink_parquet(
            path, maintain_order=True, compression="snappy", row_group_size=ROW_GROUP_ROWS, statistics=True
        )

    def _ranges(self) -> Iterator[pl.DataFrame]:
        if self._held is not None:
            yield self._held
        for ranges in _together({name: self._rows(name) for name in self._names()}):
            slices = [
                _mapped(path).slice(*places[name]) for path, places in self._parts for name in ranges if name in places
            ]
            yield pl.concat(slices)

    def _names(self) -> Sequence[int]:
        return sorted({name for _, places in self._parts for name in places})

    def _rows(self, name: int) -> int:
        return sum(places[name][1] for _, places in self._parts if name in places)

    def _spill(self, piece: pl.DataFrame) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{len(self._parts)}.arrow"
        cut = _range_of(piece)
        if not cut.is_sorted():
            order = cut.arg_sort()
            piece, cut = piece[order], cut.gather(order)
        runs = cut.rle().struct.unnest()
        starts = runs["len"].cum_sum() - runs["len"]
        places = {name: (start, n) for name, start, n in zip(runs["value"], starts, runs["len"], strict=True)}
        piece.write_ipc(path, compression="uncompressed")
        self._parts.append((path, places))


def _mapped(path: Path) -> pl.DataFrame:
    """A waiting piece, without copying it into memory."""
    with pa.memory_map(str(path)) as file:
        return pl.DataFrame(pl.from_arrow(pa.ipc.open_file(file).read_all(), rechunk=False))


def _range_of(piece: pl.DataFrame) -> pl.Series:
    """Number of the range that each row belongs to; ranges are in the order of the file."""
    if piece["date"].null_count() == piece.height:
        return piece["id_key"] // _KEY_RANGE
    # Rows without a day sort before all days.
    return piece["date"].to_physical().cast(pl.Int64).fill_null(-(1 << 40))


def _together(rows: dict[int, int]) -> Iterator[list[int]]:
    """Neighbouring ranges, joined until they fill a row group."""
    names: list[int] = []
    total = 0
    for name, count in rows.items():
        names.append(name)
        total += count
        if total >= ROW_GROUP_ROWS:
            yield names
            names, total = [], 0
    if names:
        yield names


def _final(frame: pl.DataFrame, dropped: pl.Series, repeated: pl.Series) -> pl.DataFrame:
    if len(dropped):
        frame = frame.filter(~pl.col("line_no").is_in(dropped.implode()))
    if len(repeated):
        frame = frame.with_columns(pl.col("line_no").is_in(repeated.implode()).alias("repeat"))
    return frame.sort(SORTED_BY)
