"""Parquet from outside is read in a child process, because a damaged file can abort the process that reads it.

The child gives back text columns as an Arrow stream on its standard output; it is run as
``python -m pipelines.landing.untrusted COLUMN...`` with the file on its standard input.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.landing.refusals import FileRefusedError
from pipelines.landing.source import READ_BYTES, Payload

BATCH_ROWS = 131_072
TIMEOUT_SECONDS = 3600
_EXIT_DAMAGED = 3
_UNKNOWN = b"unknown"
#: Bounds of the years 0001 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


def parquet_texts(payload: Payload, columns: Sequence[str]) -> Iterator[tuple[pl.DataFrame, frozenset[str]]]:
    """Frames of text columns of a Parquet file, and the names of columns nobody asked for.

    Raises:
        FileRefusedError: ``damaged_parquet``, when the child cannot read it or dies.
    """
    with tempfile.TemporaryFile() as received, tempfile.TemporaryFile() as given:
        # Unlinked files: nothing of them remains when this process is killed.
        with payload.decoded() as stream:
            while block := stream.read(READ_BYTES):
                received.write(block)
        received.flush()
        received.seek(0)
        child = subprocess.run(
            [sys.executable, "-m", "pipelines.landing.untrusted", *columns],
            stdin=received,
            stdout=given,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if child.returncode != 0:
            raise FileRefusedError("damaged_parquet")
        given.seek(0)
        with pa.ipc.open_stream(given) as reader:
            unknown = frozenset(json.loads((reader.schema.metadata or {}).get(_UNKNOWN, b"[]")))
            for batch in reader:
                yield pl.DataFrame(pl.from_arrow(batch)), unknown


def _main(columns: list[str]) -> None:
    """Child: Parquet on stdin, Arrow stream of text columns on stdout."""
    file = pq.ParquetFile(sys.stdin.buffer, page_checksum_verification=True)
    known = [name for name in columns if name in file.schema_arrow.names]
    unknown = sorted(set(file.schema_arrow.names) - set(columns))
    schema = pa.schema(
        [(name, pa.large_string()) for name in columns], metadata={_UNKNOWN: json.dumps(unknown).encode()}
    )
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as writer:
        for batch in file.iter_batches(BATCH_ROWS, columns=known):
            nothing = pa.nulls(batch.num_rows, pa.large_string())
            arrays = [_texts(batch.column(name)) if name in known else nothing for name in columns]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _texts(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _texts(array.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return array.cast(pa.large_string())
    if pa.types.is_boolean(kind) or pa.types.is_date(kind):
        return array.cast(pa.large_string())
    if pa.types.is_timestamp(kind):
        return _instants(array)
    return pa.array([_text(value) for value in array.to_pylist()], pa.large_string())


def _instants(array: pa.Array) -> pa.Array:
    """RFC 3339 with six decimals, the rest cut; what no year of four digits holds stays a count that no rule reads."""
    unit = array.type.unit
    counted = pl.Series(pl.from_arrow(array.cast(pa.int64())), dtype=pl.Int64)
    scale = {"s": 1_000_000, "ms": 1_000}.get(unit, 1)
    inside = counted.is_between(_FIRST_SECOND * 1_000_000 // scale, (_LAST_SECOND * 1_000_000 + 999_999) // scale)
    micros = counted // 1_000 if unit == "ns" else counted.set(~inside, None) * scale
    written = micros.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f" + ("Z" if array.type.tz else ""))
    outside = written.is_null() & counted.is_not_null()
    return written.zip_with(~outside, counted.cast(pl.String) + f" {unit}").to_arrow()


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(int(value)) if math.isfinite(value) and value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
    except Exception:
        sys.exit(_EXIT_DAMAGED)
