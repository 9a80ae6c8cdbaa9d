"""What became of each row of one batch, for callers that answer row by row; never stored."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from pipelines.landing.batch import Batch
from pipelines.landing.repeats import Repeats

Status = Literal["accepted", "duplicate", "superseded", "quarantined"]
_MAX_ID = 128


@dataclass(frozen=True)
class Outcome:
    """One received row.

    Attributes:
        index: 0-based place among the rows that were received; blank lines are none.
        line_no: 1-based line or element; 0 when the body as a whole was refused.
        external_id: its id, a hash of the natural key where it has none of its own; None where it cannot be told.
        status: as counted by the receipt.
        reason: typed reason of a quarantined row, also when it is received again.
    """

    index: int
    line_no: int
    external_id: str | None
    status: Status
    reason: str | None = None

    def row(self) -> dict[str, Any]:
        """The attributes as an object."""
        return asdict(self)


def outcomes(batch: Batch, found: Repeats | None) -> tuple[Outcome, ...]:
    """Every row in the order of its line.

    Args:
        batch: the batch as read.
        found: its repeats; None for a batch that landed before, whose rows are all duplicates.
    """
    duplicates: Collection[int] = set(found.duplicates) if found else ()
    superseded: Collection[int] = set(found.superseded_lines) if found else ()

    def status(line: int) -> Status:
        if found is None or line in duplicates:
            return "duplicate"
        return "superseded" if line in superseded else "accepted"

    good = [(line, key, status(line), None) for piece in batch.spool.pieces() for line, key in _keys(piece)]
    refused_as: Status = "quarantined" if found else "duplicate"
    bad = [(line, key, refused_as, reason) for line, key, reason in _refused(batch)]
    rows = sorted([*good, *bad], key=lambda row: row[0])
    return tuple(Outcome(index, *row) for index, row in enumerate(rows))


def _keys(piece: pl.DataFrame) -> Iterator[tuple[int, str]]:
    return piece.select("line_no", "external_id").iter_rows()


def _refused(batch: Batch) -> Iterator[tuple[int, str | None, str]]:
    sealed = b"".join(batch.sealed_rows).decode("utf-8", "surrogatepass")
    records = (json.loads(line) for line in sealed.split("\n") if line)
    raws = {record["line_no"]: record["raw"] for record in records}
    for rows in batch.refused.pieces():
        for line, reason in rows.select("line_no", "reason").iter_rows():
            yield line, None if reason.endswith(":external_id") else _named(raws[line]), reason


def _named(raw: str) -> str | None:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    named = record.get("external_id") if isinstance(record, dict) else None
    return named if isinstance(named, str) and len(named) <= _MAX_ID else None
