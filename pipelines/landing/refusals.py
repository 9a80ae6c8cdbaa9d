"""Why rows and files are refused, and how a refused row is shown: keys and shapes, never a value."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

#: Seven digits may be a phone number.
_PLAIN_KEY = re.compile(r"^(?!(?:.*[0-9]){7})[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
_MAX_KEYS = 100


class FileRefusedError(Exception):
    """The file as a whole cannot be read; ``args[0]`` is the typed reason. Never leaves the landing stage."""

    @property
    def reason(self) -> str:
        """Typed reason, such as ``empty_file``."""
        return str(self.args[0])


@dataclass(frozen=True)
class Refused:
    """One refused row.

    Attributes:
        line_no: 1-based line or record; 0 for a whole file.
        reason: typed reason ``rule`` or ``rule:column``.
        raw: the row as received, for the vault only.
        date: the tenant day that the row names; None where it has none or names none readably.
    """

    line_no: int
    reason: str
    raw: str
    date: date | None = None

    @property
    def rule(self) -> str:
        """The reason without the column."""
        return self.reason.split(":", 1)[0]


class Verdict:
    """Collects the first reason that speaks against each row of a frame.

    Rules are added in the order in which they are reported; a row keeps the first.
    """

    def __init__(self, height: int) -> None:
        self.height = height
        self._reasons: list[str] = []
        self._first = pl.Series("reason", [0], dtype=pl.Int32).new_from_index(0, height)

    def refuse(self, wrong: pl.Series, reason: str) -> None:
        """Refuse the rows where ``wrong`` is true, with one reason."""
        if wrong.any():
            self._reasons.append(reason)
            code = pl.Series([len(self._reasons)], dtype=pl.Int32).new_from_index(0, self.height)
            self._first = code.zip_with(wrong.fill_null(False) & (self._first == 0), self._first)

    def refuse_each(self, reasons: pl.Series) -> None:
        """Refuse the rows whose reason is not null."""
        for reason in reasons.drop_nulls().unique().sort():
            self.refuse(reasons == reason, reason)

    @property
    def refused(self) -> pl.Series:
        """Boolean: the row is refused."""
        return self._first != 0

    def reasons(self) -> dict[int, str]:
        """Row index -> reason, for the refused rows."""
        if not self._reasons:
            return {}
        rows = self.refused.arg_true().to_list()
        return dict(zip(rows, [self._reasons[code - 1] for code in self._first.gather(rows)], strict=True))


def redacted(raw: str) -> str:
    """Canonical JSON of a row's keys, each with the shape of its value; a key that is not a plain name is hidden."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return _dump({"": f"unreadable({len(raw.encode(errors='replace'))} bytes)"})
    if not isinstance(record, dict):
        return _dump({"": _shape(record)})
    shown: dict[str, str] = {}
    for key, value in list(record.items())[:_MAX_KEYS]:
        shown[key if _PLAIN_KEY.match(key) else "<key>"] = _shape(value)
    return _dump(shown)


def plain_key(key: str) -> str:
    """A field name that is safe to show; anything that is not a plain name becomes ``<key>``."""
    return key if _PLAIN_KEY.match(key) else "<key>"


def _shape(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    kind = "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
    return f"{kind}({len(value)})"


def _dump(shown: dict[str, str]) -> str:
    return json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
