"""From bytes to frames of text: NDJSON, JSON arrays, CSV and Parquet of an entity, one piece after another.

Everything stays text, so that 00123, 9007199254740993 and 2.7 arrive as they were written; nothing is inferred. What
cannot be parsed is set aside with its line and a reason. Typing is in ``typed``.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb
import polars as pl

from pipelines.landing import untrusted, values
from pipelines.landing.refusals import FileRefusedError, Refused
from pipelines.landing.source import Payload, Piece, text_pieces, whole

MAX_LINE_BYTES = 16 << 20
_LINE = "line_no"


@dataclass(frozen=True)
class Texts:
    """One piece of a file, parsed.

    Attributes:
        frame: line_no Int64, then the asked columns as String; good rows in file order.
        refused: rows that could not be parsed.
        raw: line_no -> the row as received, for any line of the frame.
        controls: False when no value can hold a control character.
        names: keys of the rows as received, for one row; None when null and absent cannot be told apart.
        unknown: names of received fields that nobody asked for, seen in the first rows.
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
        rows = self.frame.filter(pl.col(_LINE).is_in(list(numbers)))
        return {
            row.pop(_LINE): json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False)
            for row in rows.iter_rows(named=True)
        }


def read(payload: Payload, columns: Sequence[str]) -> Iterator[Texts]:
    """Parse a file piece by piece into the given columns.

    Raises:
        FileRefusedError: the file as a whole cannot be read.
    """
    if payload.format == "parquet":
        yield from _parquet(payload, columns)
    elif payload.format == "csv":
        yield from _csv(payload, columns)
    elif payload.format == "json":
        yield from _array(payload, columns)
    else:
        for piece in text_pieces(payload):
            yield ndjson(piece, columns)


# --- NDJSON ----------------------------------------------------------------------------------------------------------


def ndjson(piece: Piece, columns: Sequence[str]) -> Texts:
    """Parse whole lines of JSON objects."""
    data, refused = _clean(piece)
    try:
        frame = _duckdb_ndjson(data, columns, lenient=False)
        suspects: dict[int, str] = {}
    except duckdb.Error:
        # The message would quote the row; the lenient pass finds out which rows it is.
        frame = _duckdb_ndjson(data, columns, lenient=True)
        suspects = _suspects(data, frame.height)
    numbers = _line_numbers(data, piece, frame.height)
    frame = frame.insert_column(0, numbers.rename(_LINE))
    lines = Lines(data, piece.first_line)
    sparse = all(frame[name].null_count() for name in columns)
    empty = (
        frame.select(pl.all_horizontal(pl.col(columns).is_null())).to_series().arg_true().to_list() if sparse else []
    )
    doubtful = sorted({*empty, *suspects})
    raws = lines.raw([numbers[i] for i in doubtful])
    known = {r.line_no for r in refused}
    bad = []
    for i in doubtful:
        number = numbers[i]
        reason = suspects.get(i) or _wrong_line(raws[number])
        if reason is not None:
            bad.append(i)
            if number not in known:
                refused.append(Refused(number, _truncated(piece, number, numbers, reason), raws[number]))
    if bad:
        frame = frame.filter(~pl.int_range(pl.len()).is_in(bad))
    return Texts(frame, refused, lines, values.may_hold_controls(data), _unknown(data, columns))


def _clean(piece: Piece) -> tuple[bytearray, list[Refused]]:
    """Lines that are not UTF-8 or hold NUL are set aside; an unreadable word keeps their place."""
    data = piece.data
    if b"\0" not in data and _is_utf8(data):
        return data, []
    lines, refused = data.split(b"\n"), []
    for index, line in enumerate(lines):
        reason = "nul_byte" if b"\0" in line else None if _is_utf8(line) else "invalid_utf8"
        if reason:
            refused.append(Refused(piece.first_line + index, reason, line.decode("latin-1")))
            lines[index] = bytearray(b"!")
    return bytearray(b"\n").join(lines), refused


def _is_utf8(data: bytes | bytearray) -> bool:
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _duckdb_ndjson(data: bytearray, columns: Sequence[str], *, lenient: bool) -> pl.DataFrame:
    listed = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    with _readable(data) as path, duckdb.connect() as connection:
        table = connection.sql(
            f"select * from read_json('{path}', format='newline_delimited', records='true', auto_detect=false, "  # noqa: S608
            f"columns={{{listed}}}, ignore_errors={lenient}, maximum_object_size={MAX_LINE_BYTES})"
        ).to_arrow_table()
    # Most declared columns hold nothing, and one column of nothing serves them all.
    filled = [name for name in columns if table.column(name).null_count < table.num_rows]
    frame = pl.DataFrame(pl.from_arrow(table.select(filled))) if filled else pl.DataFrame()
    nothing = values.nothing(pl.String, table.num_rows)
    return pl.DataFrame([frame[name] if name in frame.columns else nothing.alias(name) for name in columns])


def _suspects(data: bytearray, height: int) -> dict[int, str]:
    """Row index -> reason, for rows that are no JSON object or name a key twice."""
    with _readable(data) as path, duckdb.connect() as connection:
        rows = connection.sql(
            "select json is null or json_type(json) <> 'OBJECT' as broken, "  # noqa: S608
            "len(keys) <> len(list_distinct(keys)) as twice from (select json, json_keys(json) as keys "
            f"from read_ndjson_objects('{path}', ignore_errors=true, maximum_object_size={MAX_LINE_BYTES}))"
        ).pl()
    if rows.height != height:
        raise FileRefusedError("unreadable_lines")
    found = rows.with_row_index("i").filter(pl.col("broken") | pl.col("twice").fill_null(False))
    return {i: "malformed_json" if broken else "duplicate_key_in_row" for i, broken, _ in found.iter_rows()}


def _line_numbers(data: bytearray, piece: Piece, height: int) -> pl.Series:
    """Line of each row; blank lines have none. Lines of ``data`` are those of the piece."""
    first = piece.first_line
    ends = piece.line_ends if piece.line_ends is not None else data.count(b"\n")
    count = ends + (0 if data.endswith(b"\n") or not data else 1)
    if count == height:
        return pl.int_range(first, first + height, dtype=pl.Int64, eager=True)
    filled = [first + i for i, line in enumerate(data.split(b"\n")) if line.strip()]
    if len(filled) != height:
        raise FileRefusedError("unreadable_lines")
    return pl.Series(filled, dtype=pl.Int64)


def _wrong_line(raw: str) -> str | None:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return "malformed_json"
    return None if isinstance(record, dict) else "malformed_json"


def _truncated(piece: Piece, number: int, numbers: pl.Series, reason: str) -> str:
    at_end = piece.last and not piece.terminated and number == numbers[-1]
    return "truncated_last_line" if at_end and reason == "malformed_json" else reason


def _unknown(data: bytearray, columns: Sequence[str], rows: int = 200) -> frozenset[str]:
    """Field names in the first rows that are not asked for."""
    names: set[str] = set()
    for line in data[: 1 << 20].split(b"\n", rows)[:rows]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            names.update(record)
    return frozenset(names.difference(columns))


@contextmanager
def _readable(data: bytearray) -> Iterator[str]:
    """A path that DuckDB can open for these bytes, which never touch a disk: they may hold personal data."""
    handle = os.memfd_create("piece")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


# --- JSON array ------------------------------------------------------------------------------------------------------


def _array(payload: Payload, columns: Sequence[str]) -> Iterator[Texts]:
    """An array of objects, read as one object a line; line numbers count its elements. NDJSON passes through."""
    head = next(text_pieces(payload), None)
    start = head.data.lstrip()[:1] if head is not None else b""
    if start != b"[":
        if (
            start == b"{"
            and head is not None
            and head.last
            and _wrong_line(head.data.decode("utf-8", "replace")) is None
        ):
            text = " ".join(head.data.decode("utf-8").split("\n"))
            yield ndjson(Piece(bytearray(text.encode()), 1, True, True), columns)
            return
        for piece in text_pieces(payload):
            yield ndjson(piece, columns)
        return
    data = whole(payload).removeprefix(b"\xef\xbb\xbf")
    if not _is_utf8(data):
        raise FileRefusedError("not_utf8")
    elements, remainder = _elements(data.decode("utf-8"))
    joined = "\n".join(elements)
    texts = ndjson(Piece(bytearray(joined.encode()), 1, True, True), columns)
    if remainder:
        texts.refused.append(Refused(len(elements) + 1, "truncated_array", remainder))
    yield texts


def _elements(text: str) -> tuple[list[str], str]:
    """Texts of the elements, each on one line, and what cannot be read after them."""
    decoder = json.JSONDecoder()
    elements: list[str] = []
    place = _skip(text, text.index("[") + 1, "")
    while place < len(text) and text[place] != "]":
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return elements, text[place:]
        elements.append(text[place:end].replace("\r", " ").replace("\n", " "))
        place = _skip(text, end, ",")
    if place >= len(text):
        return elements, text[-1:]
    return elements, text[place + 1 :].strip()


def _skip(text: str, place: int, also: str) -> int:
    while place < len(text) and (text[place] in " \t\r\n" or (also and text[place] in also)):
        place += 1
    return place


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv(payload: Payload, columns: Sequence[str]) -> Iterator[Texts]:
    """RFC 4180 with a header; an unquoted empty cell is null, a quoted one an empty string."""
    header: list[str] | None = None
    for piece in text_pieces(payload, quoted=True):
        data, first = piece.data, piece.first_line
        if b"\0" in data or not _is_utf8(data):
            raise FileRefusedError("not_utf8")
        if header is None:
            end = data.find(b"\n") + 1 or len(data)
            header = _header(data[:end].decode())
            data, first = data[end:], first + 1
        if data.strip():
            yield _csv_piece(data, first, header, columns, piece)


def _header(line: str) -> list[str]:
    names = [name.strip() for name in next(csv.reader(io.StringIO(line)), [])]
    if not names or any(not name for name in names):
        raise FileRefusedError("header_without_names")
    if len(set(names)) != len(names):
        raise FileRefusedError("duplicate_column_in_header")
    return names


def _csv_piece(data: bytearray, first: int, header: list[str], columns: Sequence[str], piece: Piece) -> Texts:
    # Names of a header are foreign text, so the parser only sees positions.
    places = {name: f"c{i}" for i, name in enumerate(header)}
    listed = ", ".join(f"'{place}': 'VARCHAR'" for place in places.values())
    with _readable(data) as path, duckdb.connect() as connection:
        frame = connection.sql(
            f"select * from read_csv('{path}', auto_detect=false, header=false, delim=',', quote='\"', escape='\"', "  # noqa: S608
            f"new_line='{_line_end(data)}', columns={{{listed}}}, nullstr='', allow_quoted_nulls=false, "
            f"strict_mode=true, store_rejects=true, max_line_size={MAX_LINE_BYTES})"
        ).pl()
        rejected = (
            connection.sql("select line, csv_line from reject_errors order by line").pl().unique("line").sort("line")
        )
    bad = rejected["line"].to_list()
    total = frame.height + len(bad)
    places_left = pl.int_range(total, dtype=pl.Int64, eager=True).filter(
        ~pl.int_range(1, total + 1, dtype=pl.Int64, eager=True).is_in(bad)
    )
    numbers = (places_left + first).rename(_LINE)
    selected = [
        pl.col(places[name]).alias(name) if name in places else pl.lit(None, pl.String).alias(name) for name in columns
    ]
    frame = frame.select(selected).insert_column(0, numbers)
    refused = [
        Refused(
            first + line - 1,
            "truncated_last_line" if piece.last and not piece.terminated and line == total else "wrong_column_count",
            text or "",
        )
        for line, text in rejected.select("line", "csv_line").iter_rows()
    ]
    unknown = frozenset(set(header).difference(columns))
    return Texts(frame, refused, Lines(None, first, frame), True, unknown, empty_clears=True)


def _line_end(data: bytearray) -> str:
    return "\\r\\n" if b"\r\n" in data[: 1 << 16] else "\\n"


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _parquet(payload: Payload, columns: Sequence[str]) -> Iterator[Texts]:
    first = 1
    for frame, unknown in untrusted.parquet_texts(payload, columns):
        numbers = pl.int_range(first, first + frame.height, dtype=pl.Int64, eager=True).rename(_LINE)
        numbered = frame.insert_column(0, numbers)
        yield Texts(numbered, [], Lines(None, first, numbered), True, unknown)
        first += frame.height
    if first == 1:
        raise FileRefusedError("empty_file")
