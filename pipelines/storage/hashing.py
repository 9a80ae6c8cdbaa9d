"""Hashes that are layout or identity: the same on every machine, thread count and library version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash  # noqa: F401  registers the nchash namespace
import pyarrow as pa

from pipelines.storage.durable import READ_SIZE

#: Rows that are hashed together, column by column.
SLICE = 131_072
_SHORT = 256
_PLAIN = pl.CompatLevel.oldest()


def subject_key(column: str) -> pl.Expr:
    """Signed 64-bit key of a string column (xxh3), stable across versions, unlike ``Expr.hash``."""
    key: pl.Expr = pl.col(column).nchash.xxh3_64().reinterpret(signed=True)  # type: ignore[attr-defined]
    return key


def identifier(*parts: str) -> str:
    """Id of what the parts name: the first 32 hex digits of their sha256, joined by an unprintable separator."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def identifiers(parts: Sequence[pl.Expr]) -> pl.Expr:
    """``identifier`` of each row; every part must be a non-null string."""
    joined = pl.concat_str(list(parts), separator="\x1f")
    digest: pl.Expr = joined.chash.sha2_256().str.slice(0, 32)  # type: ignore[attr-defined]
    return digest


class LogicalHash:
    """sha256 of rows that come in pieces of whatever size: column names, types, null masks and values, in order.

    Args:
        schema: of every piece.
    """

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        self._digest = hashlib.sha256(repr([(name, str(dtype)) for name, dtype in schema.items()]).encode())
        self._held: list[pl.DataFrame] = []

    def update(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        self._held.append(frame)
        if sum(part.height for part in self._held) < SLICE:
            return
        # Cuts lie at the same rows however the pieces were cut.
        rows = pl.concat(self._held) if len(self._held) > 1 else frame
        whole = rows.height - rows.height % SLICE
        for start in range(0, whole, SLICE):
            part = rows.slice(start, SLICE)
            self.absorb(part, part.to_arrow(compat_level=_PLAIN).combine_chunks())
        self._held = [rows.slice(whole)]

    def absorb(self, part: pl.DataFrame, table: pa.Table) -> None:
        """Take the next rows from who has them as Arrow too.

        Args:
            part: exactly ``SLICE`` rows, unless they are the last.
            table: the same rows, texts with 64-bit offsets.
        """
        self._digest.update(part.height.to_bytes(8, "little"))
        for column in part.iter_columns():
            nulls = column.null_count()
            if nulls == column.len():
                self._digest.update(b"n")
            elif nulls:
                missing = column.is_null().to_numpy()
                self._digest.update(b"s")
                self._digest.update(np.packbits(missing).data)
                _absorb_values(self._digest, column, table, missing)
            elif _is_one_value(column):
                # Keys of sorted rows and versions of definitions are the same for many rows.
                one = column.head(1).to_frame()
                self._digest.update(b"c")
                _absorb_values(self._digest, one.to_series(), one.to_arrow(compat_level=_PLAIN), None)
            else:
                self._digest.update(b"a")
                _absorb_values(self._digest, column, table, None)

    def hexdigest(self) -> str:
        """The hash; nothing can be added afterwards."""
        rest = pl.concat(self._held) if self._held else None
        if rest is not None and rest.height:
            self.absorb(rest, rest.to_arrow(compat_level=_PLAIN).combine_chunks())
        self._held = []
        return self._digest.hexdigest()


def _is_one_value(column: pl.Series) -> bool:
    # Of floats, two zeros are equal that have different bits.
    if column.len() < 2 or column.dtype.is_float():
        return False
    return bool(column[0] == column[-1]) and bool((column == column[0]).all())


def _absorb_values(digest: Any, column: pl.Series, table: pa.Table, missing: npt.NDArray[np.bool_] | None) -> None:
    if column.dtype == pl.String:
        _absorb_texts(digest, column, table.column(column.name).chunk(0), missing)
        return
    known = column if missing is None else column.drop_nulls()
    values = np.packbits(known.to_numpy()) if known.dtype == pl.Boolean else known.to_physical().to_numpy()
    digest.update(np.ascontiguousarray(values).data)


def _absorb_texts(digest: Any, column: pl.Series, texts: pa.Array, missing: npt.NDArray[np.bool_] | None) -> None:
    """Lengths, one byte each where that is enough, then the letters; a null has none."""
    ends = np.frombuffer(texts.buffers()[1], dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(ends)
    if missing is not None and lengths[missing].any():
        # What lies behind a null is nobody's business.
        _absorb_texts(digest, column, column.fill_null("").to_arrow(compat_level=_PLAIN), None)
        return
    short = int(lengths.max()) < _SHORT
    digest.update(b"1" if short else b"8")
    digest.update(lengths.astype(np.uint8 if short else np.int64).data)
    if letters := texts.buffers()[2]:
        digest.update(memoryview(letters)[int(ends[0]) : int(ends[-1])])


def logical_sha256(frame: pl.DataFrame) -> str:
    """sha256 of the rows in order: column names, types, null masks and values, whatever the chunks or the writer."""
    digest = LogicalHash(frame.schema)
    digest.update(frame)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256", _bufsize=READ_SIZE).hexdigest()
