"""Typed rows of a batch on their way to one sorted file, in bounded memory.

One piece stays in memory. From the second on, pieces wait as Arrow files, cut into ranges of the final order, and the
file is written range by range; a range that is too large for memory is cut once more by its keys. A column that says
one thing in all rows of a piece, most often nothing, waits as that one value: records fill few of the columns that an
entity declares.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from pipelines.landing.layout import ROW_GROUP_ROWS, SORTED_BY

#: Rows of a range that is written at once; a larger one waits again, cut by its keys.
MOST_ROWS = 6 * ROW_GROUP_ROWS
#: Without days, rows are cut by the top bits of their key, which is a hash and so spreads evenly.
_KEY_RANGE = 1 << 58


@dataclass(frozen=True)
class _Part:
    """A waiting piece.

    Attributes:
        path: its Arrow file.
        constant: columns that are not in the file, and the value of all their rows.
        places: range -> first row and number of rows.
    """

    path: Path
    constant: dict[str, Any]
    places: dict[int, tuple[int, int]]


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
        # Rows of one key cannot be cut any further.
        self._may_cut = cut is None
        self._held: pl.DataFrame | None = None
        self._parts: list[_Part] = []

    def add(self, piece: pl.DataFrame) -> None:
        """Take one more piece."""
        if not piece.height:
            return
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
        held = [] if self._held is None else [self._held["id_key"]]
        found = held + [_mapped(part.path)["id_key"] for part in self._parts]
        return pl.concat(found, rechunk=True) if found else pl.Series("id_key", [], dtype=pl.Int64)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Every piece once more, in no particular row order."""
        if self._held is not None:
            yield self._held
        for part in self._parts:
            yield self._whole(_mapped(part.path), part.constant)

    def having(self, keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows whose id_key is in a frame of keys, piece by piece, in no particular row order."""
        if self._held is not None:
            yield self._held.join(keys, on="id_key", how="semi")
        for part in self._parts:
            yield self._whole(_mapped(part.path).join(keys, on="id_key", how="semi"), part.constant)

    def write(self, path: Path, dropped: pl.Series, repeated: pl.Series) -> None:
        """Write the file: without the dropped line numbers, with ``repeat`` set, sorted by ``SORTED_BY``."""
        frames = (self._whole(_final(frame, dropped, repeated), constant) for frame, constant in self._ranges())
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

    def _ranges(self) -> Iterator[tuple[pl.DataFrame, dict[str, Any]]]:
        """Unsorted rows of one range after the other, and the values of the columns that the frame leaves out."""
        if self._held is not None:
            yield self._held, {}
            return
        for ranges in _together({name: self._rows(name) for name in self._names()}):
            if self._may_cut and self._rows(ranges[0]) > MOST_ROWS:
                yield from self._cut_again(ranges[0])
                continue
            parts = [part for part in self._parts if not part.places.keys().isdisjoint(ranges)]
            shared = _shared(part.constant for part in parts)
            varying = [name for name in self._schema if name not in shared]
            yield pl.concat(self._filled(frame, varying, constant) for frame, constant in self._slices(ranges)), shared

    def _slices(self, ranges: Sequence[int]) -> Iterator[tuple[pl.DataFrame, dict[str, Any]]]:
        for part in self._parts:
            for name in ranges:
                if name in part.places:
                    yield _mapped(part.path).slice(*part.places[name]), part.constant

    def _cut_again(self, name: int) -> Iterator[tuple[pl.DataFrame, dict[str, Any]]]:
        """The rows of a range that are too many at once, in ranges of their keys."""
        keys = pl.concat([frame.select("id_key") for frame, _ in self._slices([name])])
        least, most = keys.select(least=pl.col("id_key").min(), most=pl.col("id_key").max()).row(0)
        width = _width(least, most, keys.height)
        again = Spool(self.folder / f"range{name}", self._schema, lambda piece: piece["id_key"] // width)
        for frame, constant in self._slices([name]):
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
        return sorted({name for part in self._parts for name in part.places})

    def _rows(self, name: int) -> int:
        return sum(part.places[name][1] for part in self._parts if name in part.places)

    def _spill(self, piece: pl.DataFrame) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{len(self._parts)}.arrow"
        cut = self._cut(piece)
        constant = {
            name: piece[name][0] for name in piece.columns if name not in SORTED_BY and _is_constant(piece[name])
        }
        piece = piece.drop(constant)
        if not cut.is_sorted():
            order = cut.arg_sort()
            piece, cut = piece[order], cut.gather(order)
        runs = cut.rle().struct.unnest()
        starts = runs["len"].cum_sum() - runs["len"]
        places = {name: (start, n) for name, start, n in zip(runs["value"], starts, runs["len"], strict=True)}
        piece.write_ipc(path, compression="uncompressed")
        self._parts.append(_Part(path, constant, places))


def _is_constant(column: pl.Series) -> bool:
    """Whether all rows hold one value or all hold none."""
    if column.null_count():
        return column.null_count() == len(column)
    return column[0] == column[-1] and bool((column == column[0]).all())


def _shared(constants: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The columns that all parts leave out for the same value."""
    first, *others = constants
    return {n: v for n, v in first.items() if all(n in other and other[n] == v for other in others)}


def _mapped(path: Path) -> pl.DataFrame:
    """A waiting piece, without copying it into memory."""
    with pa.memory_map(str(path)) as file:
        return pl.DataFrame(pl.from_arrow(pa.ipc.open_file(file).read_all(), rechunk=False))


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


def _width(least: int, most: int, rows: int) -> int:
    """Width of ranges of keys that hold about a row group each."""
    return (most - least) // max(rows // ROW_GROUP_ROWS, 4) + 1


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
