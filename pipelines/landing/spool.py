"""Typed rows of a batch on their way to one sorted file, in bounded memory.

The first pieces stay in memory. The others wait as Arrow files with a record batch for each range of the final order,
and the file is written range by range; a range that is too large for memory is cut again by its keys. A
column that says one thing in all rows of a piece, most often nothing, waits as that one value: records fill few of the
columns that an entity declares.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from pipelines.landing.layout import ROW_GROUP_ROWS, SORTED_BY

#: Rows of a range that is written at once; a larger one waits again, cut by its keys.
MOST_ROWS = 6 * ROW_GROUP_ROWS
#: Rows that wait in memory; what comes after them waits on the disk.
HELD_BYTES = 32 << 20
#: Without days, rows are cut by the top bits of their key, which is a hash and so spreads evenly.
_KEY_RANGE = 1 << 58
#: Ranges that a large one is cut into, at most; more of them would make batches too short to be read in time.
_MOST_RANGES = 64
#: Columns that wait whatever they say, so that no batch is without columns.
_KEPT = (*SORTED_BY, "external_id")


@dataclass(frozen=True)
class _Part:
    """A waiting piece.

    Attributes:
        kept: its rows, or the Arrow file that holds them.
        constant: columns that it leaves out, and the value of all their rows.
        rows: range -> number of its rows, in the order in which they wait.
        keys: id_key of every row, in that order; None for a spool with ranges of its own.
    """

    kept: pl.DataFrame | Path
    constant: dict[str, Any]
    rows: dict[int, int]
    keys: pl.Series | None

    def read(self, names: Sequence[int] | None = None) -> Iterator[pl.DataFrame]:
        """The rows of each range that waits here."""
        wanted = self.rows if names is None else [name for name in names if name in self.rows]
        for _, frame in self._batches(wanted):
            yield frame if isinstance(frame, pl.DataFrame) else _from_arrow(frame)

    def having(self, keys: pl.Series) -> Iterator[pl.DataFrame]:
        """The rows whose key is one of some, range by range."""
        assert self.keys is not None  # noqa: S101
        hits = self.keys.is_in(keys.implode())
        for start, frame in self._batches(self.rows):
            rows = hits.slice(start, len(frame)).arg_true()
            if len(rows):
                yield frame[rows] if isinstance(frame, pl.DataFrame) else _from_arrow(frame.take(rows.to_arrow()))

    def _batches(self, names: Iterable[int]) -> Iterator[tuple[int, pl.DataFrame | pa.Table]]:
        """Where a range begins, and its rows; reading takes their memory and no more, unlike a mapped file."""
        wanted, start = set(names), 0
        with nullcontext() if isinstance(self.kept, pl.DataFrame) else pa.OSFile(str(self.kept)) as file:
            reader = None if file is None else pa.ipc.open_file(file)
            for index, (name, count) in enumerate(self.rows.items()):
                if name in wanted and isinstance(self.kept, pl.DataFrame):
                    yield start, self.kept.slice(start, count)
                elif name in wanted and reader is not None:
                    yield start, pa.Table.from_batches([reader.get_batch(index)])
                start += count


def _from_arrow(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table, rechunk=False))


class Spool:
    """The rows of one batch, in pieces.

    Args:
        folder: where pieces may wait; made when needed, and the caller removes it.
        schema: of every piece and of the file.
        cut: number of the range that each row of a piece belongs to; ranges are in the order of the file.
    """

    def __init__(self, folder: Path, schema: pl.Schema, cut: Callable[[pl.DataFrame], pl.Series] | None = None) -> None:
        self.folder = folder
        self._schema = schema
        self._cut = cut or _range_of
        self._held: pl.DataFrame | None = None
        self._parts: list[_Part] = []
        self._room = HELD_BYTES

    def add(self, piece: pl.DataFrame) -> None:
        """Take one more piece."""
        if not piece.height:
            return
        if self._held is None and not self._parts:
            self._held = piece
            return
        if self._held is not None:
            self._parts.append(self._part(self._held))
            self._held = None
        self._parts.append(self._part(piece))

    @property
    def keys(self) -> pl.Series:
        """id_key of every row; of a spool with ranges of its own there are none."""
        held = [] if self._held is None or self._cut is not _range_of else [self._held["id_key"]]
        known = [*held, *(part.keys for part in self._parts if part.keys is not None)]
        return pl.concat(known) if known else pl.Series("id_key", [], dtype=pl.Int64)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Every piece once more, in no particular row order."""
        if self._held is not None:
            yield self._held
        for part in self._parts:
            for frame in part.read():
                yield self._whole(frame, part.constant)

    def having(self, keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows whose id_key is in a frame of keys, piece by piece, in no particular row order."""
        if self._held is not None:
            yield self._held.join(keys, on="id_key", how="semi")
        for part in self._parts:
            for frame in part.having(keys["id_key"]):
                yield self._whole(frame, part.constant)

    def ranges(self) -> Iterator[pl.DataFrame]:
        """Every row once more: range by range, small neighbours together, in no order within."""
        for frame, constant in self._ranges():
            yield self._whole(frame, constant)

    def write(self, path: Path, dropped: pl.Series, repeated: pl.Series) -> None:
        """Write the file: without the dropped line numbers, with ``repeat`` set, sorted by ``SORTED_BY``.

        Columns that no row fills are left out, but for those by which rows are found.
        """
        names = self._said()
        ordered = ((_final(frame, dropped, repeated), constant) for frame, constant in self._ranges())
        if not self._parts:
            frame = next(ordered, (pl.DataFrame(schema=self._schema), {}))[0].select(names)
            frame.write_parquet(path, compression="snappy", row_group_size=ROW_GROUP_ROWS, statistics=True)
            return

        def source(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
            for frame, constant in ordered:
                # Columns of one value take their full room only here, so few rows at a time.
                for rows in frame.iter_slices(ROW_GROUP_ROWS):
                    whole = self._filled(rows, names, constant)
                    yield whole if columns is None else whole.select(columns)

        schema = {name: self._schema[name] for name in names}
        register_io_source(source, schema=schema).sink_parquet(
            path, maintain_order=True, compression="snappy", row_group_size=ROW_GROUP_ROWS, statistics=True
        )

    def _said(self) -> list[str]:
        """The columns that some row fills, and those by which rows are found."""
        nothing = [{n for n, value in part.constant.items() if value is None} for part in self._parts]
        if self._held is not None:
            nothing = [{column.name for column in self._held if column.null_count() == self._held.height}]
        empty = set.intersection(*nothing) if nothing else set()
        return [name for name in self._schema if name in _KEPT or name not in empty]

    def _ranges(self) -> Iterator[tuple[pl.DataFrame, dict[str, Any]]]:
        """Unsorted rows of one range after the other, and the values of the columns that the frame leaves out."""
        if self._held is not None:
            yield self._held, {}
            return
        for ranges in _together({name: self._rows(name) for name in self._names()}):
            if self._rows(ranges[0]) > MOST_ROWS and "id_key" in self._schema:
                yield from self._cut_again(ranges[0])
            else:
                yield self._joined(ranges, self._parts)

    def _joined(self, ranges: Sequence[int], parts: Sequence[_Part]) -> tuple[pl.DataFrame, dict[str, Any]]:
        parts = [part for part in parts if not part.rows.keys().isdisjoint(ranges)]
        shared = _shared(part.constant for part in parts)
        varying = [name for name in self._schema if name not in shared]
        frames = (self._filled(frame, varying, part.constant) for part in parts for frame in part.read(ranges))
        return pl.concat(frames), shared

    def _cut_again(self, name: int) -> Iterator[tuple[pl.DataFrame, dict[str, Any]]]:
        """The rows of a range that are too many at once, in ranges of their keys."""
        parts = [part for part in self._parts if name in part.rows]
        ends = [
            frame.select(pl.col("id_key").min().alias("least"), pl.col("id_key").max().alias("most"))
            for part in parts
            for frame in part.read([name])
        ]
        least, most = pl.concat(ends).select(pl.col("least").min(), pl.col("most").max()).row(0)
        if least == most:
            yield self._joined([name], parts)
            return
        width = (most - least) // min(max(self._rows(name) // ROW_GROUP_ROWS, 4), _MOST_RANGES) + 1
        again = Spool(self.folder / f"range{name}", self._schema, lambda piece: piece["id_key"] // width)
        for group in _filling(parts, name):
            frame, constant = self._joined([name], group)
            again.add(self._whole(frame, constant))
        yield from again._ranges()
        shutil.rmtree(again.folder, ignore_errors=True)

    def _whole(self, frame: pl.DataFrame, constant: dict[str, Any]) -> pl.DataFrame:
        return self._filled(frame, list(self._schema), constant)

    def _filled(self, frame: pl.DataFrame, names: Sequence[str], constant: dict[str, Any]) -> pl.DataFrame:
        present = set(frame.columns)
        return frame.select(
            pl.col(name) if name in present else pl.lit(constant[name], dtype=self._schema[name]).alias(name)
            for name in names
        )

    def _names(self) -> Sequence[int]:
        return sorted({name for part in self._parts for name in part.rows})

    def _rows(self, name: int) -> int:
        return sum(part.rows.get(name, 0) for part in self._parts)

    def _part(self, piece: pl.DataFrame) -> _Part:
        """A piece as it waits: its rows in the order of the ranges, without columns of one value."""
        cut = self._cut(piece)
        constant = {name: piece[name][0] for name in piece.columns if name not in _KEPT and _is_constant(piece[name])}
        piece = piece.drop(constant)
        if not cut.is_sorted():
            order = cut.arg_sort()
            piece, cut = piece[order], cut.gather(order)
        runs = cut.rle().struct.unnest()
        rows: dict[int, int] = dict(zip(runs["value"], runs["len"], strict=True))
        keys = piece["id_key"].rechunk() if self._cut is _range_of else None
        size = piece.estimated_size()
        if size <= self._room:
            self._room -= int(size)
            return _Part(piece, constant, rows, keys)
        return _Part(self._written(piece, rows.values()), constant, rows, keys)

    def _written(self, piece: pl.DataFrame, rows: Iterable[int]) -> Path:
        """The Arrow file of a piece, with a record batch for each range."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{len(self._parts)}.arrow"
        table, start = piece.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()), 0
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            for count in rows:
                writer.write_table(table.slice(start, count))
                start += count
        return path


def _is_constant(column: pl.Series) -> bool:
    """Whether all rows hold one value or all hold none."""
    if column.null_count():
        return column.null_count() == len(column)
    return column[0] == column[-1] and bool((column == column[0]).all())


def _shared(constants: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The columns that all parts leave out for the same value."""
    first, *others = constants
    return {n: v for n, v in first.items() if all(n in other and other[n] == v for other in others)}


def detached(frame: pl.DataFrame) -> pl.DataFrame:
    """A copy that keeps no waiting piece in memory: texts of a frame are views into the file they came from."""
    return pl.DataFrame(pl.from_arrow(frame.to_arrow(compat_level=pl.CompatLevel.oldest())), schema=frame.schema)


def _range_of(piece: pl.DataFrame) -> pl.Series:
    """Number of the range that each row belongs to; ranges are in the order of the file."""
    days = piece["date"].to_physical().cast(pl.Int64)
    if not days.null_count():
        return days
    # Rows without a day sort before all days.
    return days.zip_with(days.is_not_null(), piece["id_key"] // _KEY_RANGE - (1 << 40))


def _filling(parts: Sequence[_Part], name: int) -> Iterator[list[_Part]]:
    """Parts, as many together as may be in memory."""
    group: list[_Part] = []
    for part in parts:
        if group and sum(p.rows[name] for p in group) + part.rows[name] > MOST_ROWS:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _together(rows: dict[int, int]) -> Iterator[list[int]]:
    """Neighbouring ranges, joined until they fill a row group; one that is too large by itself stays alone."""
    names: list[int] = []
    total = 0
    for name, count in rows.items():
        if names and (total >= min(ROW_GROUP_ROWS, MOST_ROWS) or count > MOST_ROWS):
            yield names
            names, total = [], 0
        names.append(name)
        total += count
    if names:
        yield names


def _final(frame: pl.DataFrame, dropped: pl.Series, repeated: pl.Series) -> pl.DataFrame:
    """The rows that stay, in the order of the file; ``repeat`` only where a row of the batch repeats an id."""
    if len(dropped):
        frame = frame.filter(~pl.col("line_no").is_in(dropped.implode()))
    if len(repeated):
        frame = frame.with_columns(pl.col("line_no").is_in(repeated.implode()).alias("repeat"))
    return frame.sort(SORTED_BY)
