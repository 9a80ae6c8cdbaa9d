"""CSV as RFC 4180 says, with the rules that make it safe to open in a spreadsheet.

UTF-8 without a byte order mark, LF, a header always. Null is empty, an empty string is ``""``. Timestamps are RFC
3339 in UTC, booleans ``true`` and ``false``, quantities decimals. Text that a spreadsheet would run as a formula gets
a leading ``'``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import polars as pl

from schemas.contract import Column, Contract
from schemas.exports import DECIMALS

#: Rows that are text at once.
ROWS = 131_072

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_RISKY = r"^[=+\-@\t\r]"
_GUARDED = r"^'[=+\-@\t\r]"
_SECONDS = "%Y-%m-%dT%H:%M:%SZ"
_DECIMAL = r"^-?\d+(\.\d+)?$"


def write_csv(path: Path, frame: pl.DataFrame, contract: Contract) -> None:
    """Write a whole file, some rows in memory as text at once.

    Args:
        path: of the file.
        frame: columns of the contract, sorted as the file should be.
        contract: names, order and kinds of the columns.
    """
    with path.open("wb") as file:
        _write(file, frame, contract)


def render(frame: pl.DataFrame, contract: Contract) -> bytes:
    """The bytes of a small file."""
    file = io.BytesIO()
    _write(file, frame, contract)
    return file.getvalue()


def _write(file: IO[bytes], frame: pl.DataFrame, contract: Contract) -> None:
    file.write(f"{','.join(contract.names)}\n".encode())
    for start in range(0, frame.height, ROWS):
        part = frame.slice(start, ROWS)
        cells = part.select(_cell(column, part).alias(column.name) for column in contract)
        cells.write_csv(file, include_header=False, quote_style="necessary", datetime_format=_SECONDS)


def _cell(column: Column, part: pl.DataFrame) -> pl.Expr:
    """A column as the writer takes it; null and the empty string it tells apart by quotes."""
    value = pl.col(column.name)
    if column.kind == "timestamp":
        whole = part.select((value.dt.microsecond() == 0).all()).item()
        return value.dt.replace_time_zone(None) if whole else timestamp_text(value)
    if column.kind == "quantity":
        return decimal_text(value)
    if column.kind in ("string", "json"):
        return _guarded(value, part[column.name], column.name in DECIMALS)
    if column.kind == "ratio":
        return value.cast(pl.String)
    return value


def _guarded(value: pl.Expr, texts: pl.Series, decimal: bool) -> pl.Expr:
    """Text that a spreadsheet would run as a formula, behind a quote mark."""
    # Few columns hold such a text at all; to look at first letters costs less than to write them anew.
    risky = texts.str.starts_with(_FORMULA[0])
    for sign in _FORMULA[1:]:
        risky = risky | texts.str.starts_with(sign)
    if not risky.any():
        return value
    formula = value.str.contains(_RISKY)
    if decimal:
        formula = formula & ~value.str.contains(_DECIMAL)
    return pl.when(formula).then(pl.lit("'") + value).otherwise(value)


def timestamp_text(value: pl.Expr) -> pl.Expr:
    """RFC 3339 in UTC with ``Z``; a fraction only where the instant has one, in microseconds."""
    return value.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").str.replace(".000000Z", "Z", literal=True)


def decimal_text(thousandths: pl.Expr) -> pl.Expr:
    """Thousandths as a decimal without trailing zeros: 1500 is ``1.5``, -2000 is ``-2``."""
    size = thousandths.abs()
    sign = pl.when(thousandths < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    part = (size % 1000).cast(pl.String).str.zfill(3).str.strip_chars_end("0")
    return sign + (size // 1000).cast(pl.String) + pl.when(part == "").then(pl.lit("")).otherwise(pl.lit(".") + part)


def read_csv(paths: Sequence[Path]) -> pl.LazyFrame:
    """Cells of files as text, for comparing; an empty cell is null and ``""`` is an empty string."""
    return pl.scan_csv(list(paths), infer_schema=False)


def unguarded(names: Sequence[str]) -> list[pl.Expr]:
    """Texts as they were before a quote mark was put before what looks like a formula."""
    return [
        pl.when(pl.col(name).str.contains(_GUARDED)).then(pl.col(name).str.slice(1)).otherwise(pl.col(name)).alias(name)
        for name in names
    ]
