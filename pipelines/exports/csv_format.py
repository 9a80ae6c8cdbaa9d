"""CSV as RFC 4180 says, with the rules that make it safe to open in a spreadsheet.

UTF-8 without a byte order mark, LF, a header always. Null is empty, an empty string is ``""``. Timestamps are RFC
3339 in UTC, booleans ``true`` and ``false``, quantities decimals. Text that a spreadsheet would run as a formula gets
a leading ``'``.
"""

from __future__ import annotations

import csv
import io

import polars as pl

from schemas.contract import Column, Contract
from schemas.exports import DECIMALS

_FORMULA = r"^[=+\-@\t\r]"
_QUOTED = r'[",\n\r]'
_DECIMAL = r"^-?\d+(\.\d+)?$"


def render(frame: pl.DataFrame, contract: Contract) -> bytes:
    """A whole file.

    Args:
        frame: columns of the contract, sorted as the file should be.
        contract: names, order and kinds of the columns.
    """
    header = ",".join(contract.names)
    if not frame.height:
        return f"{header}\n".encode()
    cells = [cell(column) for column in contract]
    lines = frame.select(pl.concat_str(cells, separator=",").alias("line"))["line"]
    return "\n".join([header, *lines, ""]).encode()


def cell(column: Column) -> pl.Expr:
    """The text of a column's cells, escaped and quoted where needed, never null."""
    value = pl.col(column.name)
    if column.kind == "timestamp":
        text = timestamp_text(value)
    elif column.kind == "date":
        text = value.dt.strftime("%Y-%m-%d")
    elif column.kind == "quantity":
        text = decimal_text(value)
    elif column.kind in ("int64", "boolean", "ratio"):
        text = value.cast(pl.String)
    else:
        text = _escaped(value, column.name in DECIMALS)
    return text.fill_null("").alias(column.name)


def _escaped(value: pl.Expr, decimal: bool) -> pl.Expr:
    risky = value.str.contains(_FORMULA)
    if decimal:
        risky = risky & ~value.str.contains(_DECIMAL)
    safe = pl.when(risky).then(pl.lit("'") + value).otherwise(value)
    quoted = pl.lit('"') + safe.str.replace_all('"', '""', literal=True) + pl.lit('"')
    return pl.when(safe.str.contains(_QUOTED) | (safe == "")).then(quoted).otherwise(safe)


def timestamp_text(value: pl.Expr) -> pl.Expr:
    """RFC 3339 in UTC with ``Z``; a fraction only where the instant has one, in microseconds."""
    whole = value.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return pl.when(value.dt.microsecond() == 0).then(whole).otherwise(value.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))


def decimal_text(thousandths: pl.Expr) -> pl.Expr:
    """Thousandths as a decimal without trailing zeros: 1500 is ``1.5``, -2000 is ``-2``."""
    size = thousandths.abs()
    sign = pl.when(thousandths < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    part = (size % 1000).cast(pl.String).str.zfill(3).str.strip_chars_end("0")
    return sign + (size // 1000).cast(pl.String) + pl.when(part == "").then(pl.lit("")).otherwise(pl.lit(".") + part)


def read_csv(data: bytes) -> pl.DataFrame:
    """Cells of a file as text, for comparing; null and the empty string are both empty here."""
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    names, body = rows[0], rows[1:]
    return pl.DataFrame(body, schema=dict.fromkeys(names, pl.String), orient="row")
