"""From bytes to frames of text: the records of an entity, one piece after another, whatever format they came in.

Everything stays text, so that 00123, 9007199254740993 and 2.7 arrive as they were written; nothing is inferred. What
cannot be parsed is set aside with its line and a reason. Typing is in ``typed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from pipelines.landing.csv_rows import csv_rows
from pipelines.landing.json_array import json_array
from pipelines.landing.ndjson import ndjson
from pipelines.landing.pieces import text_pieces
from pipelines.landing.source import Payload
from pipelines.landing.texts import Texts
from pipelines.landing.untrusted import parquet_rows

__all__ = ["Texts", "read"]


def read(payload: Payload, columns: Sequence[str]) -> Iterator[Callable[[], Texts]]:
    """Cut a file into pieces, each of which can be parsed into the given columns in a thread of its own.

    Raises:
        FileRefusedError: the file as a whole cannot be read; also by the calls.
    """
    if payload.format in ("parquet", "csv"):
        rows = parquet_rows if payload.format == "parquet" else csv_rows
        for texts in rows(payload, columns):
            yield partial(_same, texts)
    elif payload.format == "json":
        yield from json_array(payload, columns)
    else:
        for piece in text_pieces(payload):
            yield partial(ndjson, piece, columns)


def _same(texts: Texts) -> Texts:
    return texts
