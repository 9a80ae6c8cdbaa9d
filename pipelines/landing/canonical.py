"""The canonical form of a typed record, whose hash decides between versions of one instant.

The text of a value is length-prefixed, so that no two records share a form; no library's own rendering is involved.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import polars_hash  # noqa: F401  registers the chash and nchash namespaces

from schemas.contract import Column


def version_hash(columns: Sequence[Column]) -> pl.Expr:
    """sha256 hex over ``op``, ``patch_fields`` and the given stored columns, as a String expression.

    The frame must have the columns ``op`` and ``patch_fields`` (null unless the row is a patch: which fields a patch
    names is part of what it says).
    """
    digest: pl.Expr = _record(columns).chash.sha2_256()  # type: ignore[attr-defined]
    return digest


def version_key(columns: Sequence[Column]) -> pl.Expr:
    """Signed 64-bit hash of what ``version_hash`` is the hash of: cheap enough for every row, and no order."""
    key: pl.Expr = _record(columns).nchash.xxh3_64().reinterpret(signed=True)  # type: ignore[attr-defined]
    return key


def _record(columns: Sequence[Column]) -> pl.Expr:
    parts = [_framed(pl.col("op")), _framed(pl.col("patch_fields")), *(_framed(_text(column)) for column in columns)]
    return pl.concat_str(parts)


def _text(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.kind in ("string", "json"):
        return value
    if column.kind == "boolean":
        return value.cast(pl.Int8).cast(pl.String)
    return value.to_physical().cast(pl.Int64).cast(pl.String)


def _framed(text: pl.Expr) -> pl.Expr:
    return pl.when(text.is_null()).then(pl.lit("-")).otherwise(pl.format("{}:{}", text.str.len_bytes(), text))
