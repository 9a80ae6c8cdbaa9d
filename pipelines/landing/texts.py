"""What every parser gives back: rows of text with their line numbers, and what it had to set aside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import polars as pl

from pipelines.landing.refusals import Refused

LINE = "line_no"


@dataclass(frozen=True)
class Texts:
    """One piece of a file, parsed.

    Attributes:
        frame: line_no Int64, then the asked columns as String; good rows in file order.
        refused: rows that could not be parsed.
        lines: gives back rows of the frame as received.
        controls: False when no value can hold a control character.
        unknown: names of received fields that nobody asked for, seen in the first rows.
        empty_clears: an empty text says that a field is to be cleared, since null says that it is absent.
    """

    frame: pl.DataFrame
    refused: list[Refused]
    lines: Lines
    controls: bool = True
    unknown: frozenset[str] = frozenset()
    empty_clears: bool = field(default=False)


@dataclass(frozen=True)
class Lines:
    """Gives back a row as received."""

    data: bytearray | None
    first_line: int
    frame: pl.DataFrame | None = None

    def raw(self, numbers: Sequence[int]) -> dict[int, str]:
        """The rows with these line numbers as text: the line itself, or the record as JSON."""
        if not numbers:
            return {}
        if self.data is not None:
            lines = self.data.split(b"\n")
            return {n: lines[n - self.first_line].decode("utf-8", "replace").strip("\r") for n in numbers}
        assert self.frame is not None  # noqa: S101
        rows = self.frame.filter(pl.col(LINE).is_in(list(numbers)))
        return {
            row.pop(LINE): json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False)
            for row in rows.iter_rows(named=True)
        }


@contextmanager
def readable(data: bytes | bytearray) -> Iterator[str]:
    """A path that DuckDB can open for these bytes, which never touch a disk: they may hold personal data."""
    handle = os.memfd_create("piece")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
