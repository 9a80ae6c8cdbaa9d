"""From bytes to frames of text: the records of an entity, one piece after another, whatever format they came in.

Everything stays text, so that 00123, 9007199254740993 and 2.7 arrive as they were written; nothing is inferred. What
cannot be parsed is set aside with its line and a reason. Typing is in ``typed``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.landing.csv_rows import csv_rows
from pipelines.landing.json_array import json_array
from pipelines.landing.ndjson import ndjson
from pipelines.landing.pieces import text_pieces
from pipelines.landing.source import Payload
from pipelines.landing.texts import Texts
from pipelines.landing.untrusted import parquet_rows

__all__ = ["Texts", "read"]


def read(payload: Payload, columns: Sequence[str]) -> Iterator[Texts]:
    """Parse a file piece by piece into the given columns.

    Raises:
        FileRefusedError: the file as a whole cannot be read.
    """
    if payload.format == "parquet":
        yield from parquet_rows(payload, columns)
    elif payload.format == "csv":
        yield from csv_rows(payload, columns)
    elif payload.format == "json":
        yield from json_array(payload, columns)
    else:
        for piece in text_pieces(payload):
            yield ndjson(piece, columns)
