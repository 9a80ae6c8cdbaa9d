"""Typed values from text, a column at a time: whole numbers, quantities, booleans, identifiers, codes.

Every function takes a String series and gives a typed one that is null where the text is null or wrong.
"""

from __future__ import annotations

import re

import polars as pl

from schemas.contract import Column
from schemas.entities.envelope import MAX_ID_LENGTH

MAX_MONEY = 10**15
MAX_MESSAGE_ID_LENGTH = 100
CONTROL = r"[\x00-\x1f\x7f-\u009f]"
_DELETE = 0x7F
#: Reading may be case-blind here; writing is not.
_TRUE = ("true", "1")
_FALSE = ("false", "0")


def nothing(dtype: pl.DataType | type[pl.DataType], height: int) -> pl.Series:
    """A column of nulls."""
    return pl.Series([None], dtype=dtype).new_from_index(0, height)


def filled(texts: pl.Series) -> pl.Series:
    """The texts, empty ones null."""
    empty = texts == ""
    return texts.set(empty, None) if empty.any() else texts


def integers(texts: pl.Series) -> pl.Series:
    """Exact Int64: an optional minus and digits; a decimal point or exponent is wrong."""
    parsed = texts.cast(pl.Int64, strict=False)
    doubtful = texts.str.contains(r"[^0-9-]")
    return parsed.zip_with(~doubtful.fill_null(True), nothing(pl.Int64, len(texts))) if doubtful.any() else parsed


def quantities(texts: pl.Series) -> pl.Series:
    """Int64 thousandths of a decimal with at most twelve digits before and three significant ones after the point."""
    parts = texts.to_frame("text").select(
        pl.col("text").str.extract_groups(r"^(-?)([0-9]{1,12})(?:\.([0-9]{0,3})0*)?$").alias("g")
    )
    fields = parts.unnest("g")
    sign, whole, fraction = fields.to_series(0), fields.to_series(1), fields.to_series(2)
    digits = whole.cast(pl.Int64) * 1000 + fraction.fill_null("").str.pad_end(3, "0").cast(pl.Int64)
    return (digits * (1 - 2 * (sign == "-").cast(pl.Int64))).rename(texts.name)


def booleans(texts: pl.Series) -> pl.Series:
    """true, false, 1 or 0, in any case."""
    lower = texts.str.to_lowercase()
    true, false = lower.is_in(_TRUE), lower.is_in(_FALSE)
    return true.zip_with(true | false, nothing(pl.Boolean, len(texts)))


def is_identifier(column: Column) -> bool:
    """Whether the column holds an id: the record's own, a reference, or an id of the sender's."""
    name = column.name
    own = name in ("external_id", "flockr_vid", "merged_into", "pos_id")
    return column.kind == "string" and (own or column.references is not None or name.endswith("_id"))


def wrong_identifiers(texts: pl.Series, column: str, controls: bool) -> pl.Series:
    """True where an id is too long, holds a control character, or is a whole object or array.

    Args:
        texts: String.
        column: its name; a message id has a smaller limit.
        controls: whether the input can hold control characters at all.
    """
    limit = MAX_MESSAGE_ID_LENGTH if column == "message_id" else MAX_ID_LENGTH
    longest = texts.str.len_bytes().max()
    wrong = texts.str.len_chars() > limit if isinstance(longest, int) and longest > limit else texts.is_null() & False
    wrong = wrong | texts.str.starts_with("{") | texts.str.starts_with("[")
    return wrong | texts.str.contains(CONTROL) if controls else wrong


def is_currency(column: str) -> bool:
    """Whether the column holds an ISO 4217 code."""
    return column == "currency" or column.endswith("_currency")


def is_money(column: str) -> bool:
    """Whether the column holds minor units of money, whose size is limited so that sums cannot wrap."""
    return column.endswith("_minor")


def paths(texts: pl.Series) -> pl.Series:
    """Path of a URL: scheme, host, query and fragment cut off, since they may identify a person."""
    if not texts.str.contains(r"[?#]|://").any():
        return texts
    return texts.str.replace(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "").str.replace(r"[?#].*$", "")


def may_hold_controls(data: bytearray, most: int) -> bool:
    """Whether decoded JSON text of these bytes can hold a control character: it needs an escape or a C1 byte pair.

    JSON refuses raw control characters inside strings, so most files are cleared by one quick search.

    Args:
        data: the bytes.
        most: the greatest of them.
    """
    if most < _DELETE:
        return b"\\" in data
    return b"\\" in data or b"\x7f" in data or re.search(rb"\xc2[\x80-\x9f]", data) is not None
