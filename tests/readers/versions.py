"""Partitions of two versions of a dataset or file side by side, and the rows that a reader of either must find."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet
import pytest

from schemas.contract import DTYPES, Column, Contract
from schemas.exports import CSV_FILES, DATASETS
from schemas.versions import Promise, promises, published
from tests.readers.keep import kept_path, written
from tests.readers.plain import plain, plain_rows

DAYS = (date(2026, 3, 9), date(2026, 3, 10))
#: A cell of RFC 4180 and what ends it; quotes tell an empty string from null.
CELL = re.compile(r'("(?:[^"]|"")*"|[^",\n]*)(,|\n)')


class Pair(NamedTuple):
    """Two versions in a row, with a file of each."""

    name: str
    kind: str
    older: bytes
    newer: bytes
    older_columns: list[str]
    newer_columns: list[str]


def pairs() -> list[tuple[str, str | None]]:
    """Name and newer version of every step between versions; None for a next version that is not there yet."""
    steps: list[tuple[str, str | None]] = []
    for name, versions in published().items():
        if versions[0].form != "event":
            steps += [(name, promise.version) for promise in versions[1:]] + [(name, None)]
    return steps


def pair(name: str, newer: str | None, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """The kept files of a step; a next version is written as the code would write it."""
    versions = published()[name]
    kind = "dataset" if versions[0].form == "parquet" else "file"
    if newer is None:
        before, data, after = versions[-1], *next_minor(versions[-1], monkeypatch)
    else:
        place = [promise.version for promise in versions].index(newer)
        before, after = versions[place - 1], versions[place]
        data = kept_path(after).read_bytes()
    return Pair(name, kind, kept_path(before).read_bytes(), data, columns(before), columns(after))


def columns(promise: Promise) -> list[str]:
    """Columns inside a file; the day of a Parquet file is in its path."""
    return promise.names[1:] if promise.form == "parquet" else promise.names


def next_minor(promise: Promise, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, Promise]:
    """A file of the version after the newest: one more nullable column of every kind."""
    contracts: dict[str, Contract] = DATASETS if promise.form == "parquet" else CSV_FILES
    version = f"{promise.number[0]}.{promise.number[1] + 1}"
    more = [Column(f"next_{kind}", kind, since=version) for kind in DTYPES]
    monkeypatch.setitem(contracts, promise.name, contracts[promise.name].extended(*more, version=version))
    after = promises()[promise.name]
    return written(after), after


def lay(root: Path, laid: Pair, *, swapped: bool = False) -> None:
    """Write the two versions as two days; swapped when the earlier day was published again by the newer version."""
    name = "part-00000.snappy.parquet" if laid.kind == "dataset" else f"{laid.name}.csv"
    base = root / laid.name if laid.kind == "dataset" else root
    contents = (laid.newer, laid.older) if swapped else (laid.older, laid.newer)
    for day, content in zip(DAYS, contents, strict=True):
        (base / f"date={day}").mkdir(parents=True)
        (base / f"date={day}" / name).write_bytes(content)
        (base / f"date={day}" / "_manifest.json").write_text("{}")
        (base / f"date={day}" / "_SUCCESS").write_text("")


def expected(laid: Pair, asked: list[str], *, swapped: bool = False) -> list[dict[str, Any]]:
    """Rows of both days with the columns that are asked for, null where a version does not have one."""
    contents = (laid.newer, laid.older) if swapped else (laid.older, laid.newer)
    rows = []
    for day, content in zip(DAYS, contents, strict=True):
        found = parquet_rows(content) if laid.kind == "dataset" else list(csv_rows(content.decode()))
        rows += [{**{name: row.get(name) for name in asked}, "date": plain(day)} for row in found]
    return plain_rows(rows)


def parquet_rows(content: bytes) -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()


def csv_rows(text: str) -> Iterator[dict[str, str | None]]:
    """Rows of a CSV file, with null and the empty string apart."""
    header: list[str] | None = None
    cells: list[str | None] = []
    place = 0
    while place < len(text):
        match = CELL.match(text, place)
        assert match is not None
        cell, end = match.groups()
        quoted = cell.startswith('"')
        cells.append(cell[1:-1].replace('""', '"') if quoted else cell or None)
        place = match.end()
        if end == "\n":
            if header is None:
                header = [str(name) for name in cells]
            else:
                yield dict(zip(header, cells, strict=True))
            cells = []


def without_empty(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as readers find them that take an empty string of a CSV file for null."""
    return sorted(({name: None if cell == "" else cell for name, cell in row.items()} for row in rows), key=repr)
