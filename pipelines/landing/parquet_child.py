"""The child process that opens Parquet from outside: the file on its standard input, an Arrow stream of text out.

Run as ``python -m pipelines.landing.parquet_child BYTES SECONDS COLUMN...`` with limits on its memory and CPU time.
Imports nothing of the project, so that it starts quickly and a damaged file finds little to damage.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

BATCH_ROWS = 65_536
#: Cells of a batch as the file says they are; where they are more than it says, batches are made smaller.
BATCH_BYTES = 64 << 20
_FEWER = 16
BUFFER_BYTES = 1 << 20
EXIT_DAMAGED = 3
EXIT_MEMORY = 4
#: Column after the asked ones: why a row cannot be told as text.
REFUSED = "refused"
UNKNOWN = b"unknown"
#: Bounds of the years 0001 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
Scalar = str | None


def main(memory: int, seconds: int, columns: list[str]) -> None:
    """Write the columns as text, those that the file does not have as null, and ``REFUSED``."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    file = pq.ParquetFile(sys.stdin.buffer, page_checksum_verification=True, buffer_size=BUFFER_BYTES)
    known = [name for name in columns if name in file.schema_arrow.names]
    unknown = sorted(set(file.schema_arrow.names) - set(columns))
    if len(set(file.schema_arrow.names)) != len(file.schema_arrow.names):
        raise ValueError("a column is there twice")
    text = pa.large_string()
    metadata = {UNKNOWN: json.dumps(unknown).encode()}
    schema = pa.schema([(name, text) for name in (*columns, REFUSED)], metadata=metadata)
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as writer:
        for groups, rows in _groups(file.metadata):
            _copied(file, groups, rows, known, columns, schema, writer)


def _groups(metadata: Any) -> Iterator[tuple[list[int], int]]:
    """Neighbouring row groups that are read together, and how many of their rows at once."""
    groups: list[int] = []
    rows = size = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        groups.append(number)
        rows, size = rows + group.num_rows, size + group.total_byte_size
        if rows >= BATCH_ROWS or size >= BATCH_BYTES or number == metadata.num_row_groups - 1:
            yield groups, max(1, min(BATCH_ROWS, rows, BATCH_BYTES * rows // max(size, 1)))
            groups, rows, size = [], 0, 0


def _copied(
    file: Any, groups: list[int], rows: int, known: list[str], columns: list[str], schema: Any, to: Any
) -> None:
    """Write some row groups as text; from where memory is not enough, fewer rows at a time."""
    done = 0
    while True:
        try:
            place = 0
            for batch in file.iter_batches(rows, row_groups=groups, columns=known, use_threads=False):
                fresh = batch.slice(max(0, done - place))
                place += batch.num_rows
                if fresh.num_rows:
                    to.write_batch(_told_batch(fresh, known, columns, schema))
                    done = place
            return
        except MemoryError:
            if rows == 1:
                raise
            rows = max(1, rows // _FEWER)


def _told_batch(batch: Any, known: list[str], columns: list[str], schema: Any) -> Any:
    import pyarrow as pa

    text = pa.large_string()
    reasons: list[Scalar] = [None] * batch.num_rows
    nothing = pa.nulls(batch.num_rows, text)
    arrays = [_column(batch.column(name), name, reasons) if name in known else nothing for name in columns]
    return pa.record_batch([*arrays, pa.array(reasons, text)], schema=schema)


def _column(array: Any, name: str, reasons: list[Scalar]) -> Any:
    """A column as text; rows where that fails get a reason."""
    import pyarrow as pa

    try:
        texts = _texts(array)
        texts.validate(full=True)
    except (ValueError, UnicodeDecodeError, OverflowError):
        texts = pa.array([_told(array[row], row, name, reasons) for row in range(len(array))], pa.large_string())
    return texts


def _told(value: Any, row: int, name: str, reasons: list[Scalar]) -> Scalar:
    try:
        return _text(value.as_py())
    except UnicodeDecodeError:
        reasons[row] = reasons[row] or "invalid_utf8"
    except (ValueError, OverflowError):
        reasons[row] = reasons[row] or f"invalid_value:{name}"
    return None


def _texts(array: Any) -> Any:
    import pyarrow as pa

    kind, text = array.type, pa.large_string()
    if pa.types.is_dictionary(kind):
        return _texts(array.dictionary_decode())
    plain = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean, pa.types.is_date)
    if any(is_kind(kind) for is_kind in plain):
        return array.cast(text)
    if pa.types.is_timestamp(kind):
        return _instants(array)
    return pa.array([_text(value) for value in array.cast(_micros(kind), safe=False).to_pylist()], text)


def _instants(array: Any) -> Any:
    """RFC 3339 with six decimals, the rest cut; what no year of four digits holds stays a count that nobody reads."""
    import pyarrow as pa
    import pyarrow.compute

    # Its functions are made at import, where no checker of types sees them.
    pc: Any = pyarrow.compute
    unit, zone = array.type.unit, array.type.tz
    counted = array.cast(pa.int64())
    if unit == "ns":
        cut = pc.divide(counted, 1_000)
        micros = pc.if_else(pc.greater(pc.multiply(cut, 1_000), counted), pc.subtract(cut, 1), cut)
    else:
        scale = {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
        first, last = _FIRST_SECOND * 1_000_000 // scale, (_LAST_SECOND * 1_000_000 + 999_999) // scale
        inside = pc.and_(pc.greater_equal(counted, first), pc.less_equal(counted, last))
        micros = pc.multiply(pc.if_else(inside, counted, None), scale)
    form = pc.StrftimeOptions("%Y-%m-%dT%H:%M:%S" + ("Z" if zone else ""))
    written = pc.call_function("strftime", [micros.cast(pa.timestamp("us", zone and "UTC"))], form)
    outside = pc.binary_join_element_wise(counted.cast(pa.string()), unit, " ")
    return pc.coalesce(written, outside).cast(pa.large_string())


def _micros(kind: Any) -> Any:
    """The type with nanoseconds cut, which Python has no value for."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(i).with_type(_micros(kind.field(i).type)) for i in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_micros(kind.value_type)))
    return kind


def _text(value: Any) -> Scalar:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(int(value)) if math.isfinite(value) and value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return json.dumps(_jsonable(value), default=_plain, ensure_ascii=False)


def _jsonable(value: Any) -> Any:
    """A map comes as a list of pairs; it is an object."""
    if isinstance(value, list):
        if value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
            return {str(key): _jsonable(inner) for key, inner in value}
        return [_jsonable(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return str(value)


if __name__ == "__main__":
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    except MemoryError:
        sys.exit(EXIT_MEMORY)
    except Exception:
        sys.exit(EXIT_DAMAGED)
