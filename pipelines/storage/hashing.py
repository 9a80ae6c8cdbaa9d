"""Hashes that are layout or identity: the same on every machine, thread count and library version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import polars_hash  # noqa: F401  registers the nchash namespace

from pipelines.storage.durable import READ_SIZE

_SLICE = 131_072


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


def logical_sha256(frame: pl.DataFrame) -> str:
    """sha256 of the rows in order: column names, types, null masks and values, whatever the chunks or the writer."""
    digest = hashlib.sha256(repr([(name, str(dtype)) for name, dtype in frame.schema.items()]).encode())
    for start in range(0, frame.height, _SLICE):
        part = frame.slice(start, _SLICE)
        for column in part.iter_columns():
            if not column.null_count() and column.dtype.is_numeric():
                digest.update(bytes((part.height + 7) // 8))
                digest.update(np.ascontiguousarray(column.to_numpy()).data)
                continue
            digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
            if column.dtype == pl.String:
                text = column.fill_null("")
                digest.update(text.str.len_bytes().cast(pl.Int64).to_numpy().tobytes())
                digest.update((text.str.join("").item() or "").encode())
            else:
                values = column.to_physical().fill_null(0) if column.dtype != pl.Boolean else column.fill_null(False)
                digest.update(np.ascontiguousarray(values.to_numpy()).tobytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256", _bufsize=READ_SIZE).hexdigest()
