"""CSV by RFC 4180 with a header, parsed by DuckDB; pieces that it refuses are parted into good and bad records first.

An unquoted empty cell is null, a quoted one an empty string. Line numbers are those of the file, so a record that spans
lines has the number of its first one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import polars as pl

from pipelines.landing.pieces import KEPT_BYTES, MAX_LINE_BYTES, Piece, has_long_line, is_utf8, text_pieces
from pipelines.landing.refusals import FileRefusedError, Refused
from pipelines.landing.source import Payload
from pipelines.landing.texts import LINE, Lines, Texts, readable

#: Quoted, spaces around it allowed, or not; a quote inside an unquoted cell is a sign like any other.
_CELL = rb'(?:[ ]*+"[^"]*+(?:""[^"]*+)*+"[ ]*+|(?![ ]*")[^,\r\n]*+)'
_END = rb"(?:\r?\n|\r?\Z)"
_ANY = re.compile(rb"%s(?:,%s)*%s" % (_CELL, _CELL, _END))


def csv_rows(payload: Payload, columns: Sequence[str]) -> Iterator[Texts]:
    """Parse a file with a header; columns that the header does not name are null.

    Raises:
        FileRefusedError: no header, one that is no UTF-8, names a column twice or none that is asked for.
    """
    header: list[str] | None = None
    for piece in text_pieces(payload, quoted=True):
        if header is None:
            header, piece = _beheaded(piece, columns)  # noqa: PLW2901
        if piece.data.strip():
            yield _parsed(piece, header, columns)


def _beheaded(piece: Piece, columns: Sequence[str]) -> tuple[list[str], Piece]:
    """The names of the header, and the piece without it."""
    start = len(piece.data) - len(piece.data.lstrip(b"\r\n"))
    match = _ANY.match(piece.data, start)
    end = match.end() if match else piece.data.find(b"\n", start) + 1 or len(piece.data)
    line = piece.data[start:end]
    if b"\0" in line or not is_utf8(line):
        raise FileRefusedError("not_utf8")
    if line.endswith(b"\r") and not piece.data[end:]:
        # What follows the header may have been cut off, or the whole file is written in lines that end with CR.
        raise FileRefusedError("cr_line_ends")
    names = [name.strip() for name in next(csv.reader(io.StringIO(line.decode(), newline="")), [])]
    if not names or any(not name for name in names):
        raise FileRefusedError("header_without_names")
    if len(set(names)) != len(names):
        raise FileRefusedError("duplicate_column_in_header")
    if set(names).isdisjoint(columns):
        # Most likely the first record, whose values must not be reported as names of fields.
        raise FileRefusedError("no_known_column_in_header")
    skipped = piece.data[:end].count(b"\n")
    return names, Piece(piece.data[end:], piece.first_line + skipped, piece.last, piece.terminated)


def _parsed(piece: Piece, header: list[str], columns: Sequence[str]) -> Texts:
    refused: list[Refused] = []
    line_end = "\\r\\n" if b"\r\n" in piece.data else "\\n"
    frame = None if _is_suspect(piece) else _plain(piece.data, len(header), line_end)
    numbers = None if frame is None else _numbers(piece, frame.height)
    if frame is None or numbers is None:
        parts = _parted(piece, len(header))
        refused = parts.refused
        # Whatever stands in their cells, the parted records end with LF.
        frame = _plain(parts.data, len(header), "\\n")
        numbers = pl.Series(parts.numbers, dtype=pl.Int64)
        if frame is None or frame.height != len(numbers):
            raise FileRefusedError("unreadable_lines")
    places = {name: f"c{i}" for i, name in enumerate(header)}
    selected = [
        pl.col(places[name]).alias(name) if name in places else pl.lit(None, pl.String).alias(name) for name in columns
    ]
    frame = frame.select(selected).insert_column(0, numbers.rename(LINE))
    unknown = frozenset(header).difference(columns)
    return Texts(frame, refused, Lines(None, piece.first_line, frame), True, unknown, empty_clears=True)


def _is_suspect(piece: Piece) -> bool:
    """Whether bytes alone say that the parser must not see all of it."""
    data = piece.data
    ends = data.count(b"\r\n")
    mixed = ends != data.count(b"\r") or ends not in (0, data.count(b"\n"))
    return bool(piece.too_long) or mixed or b"\0" in data or has_long_line(data) or not is_utf8(data)


def _plain(data: bytearray, width: int, line_end: str) -> pl.DataFrame | None:
    """Columns c0, c1, ... of records that are all well formed; None when any is not."""
    # Names of a header are foreign text, so the parser only sees positions.
    listed = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
    if not data:
        return pl.DataFrame(schema={f"c{i}": pl.String for i in range(width)})
    try:
        with readable(data) as path, duckdb.connect() as connection:
            frame: pl.DataFrame = connection.sql(
                f"select * from read_csv('{path}', auto_detect=false, header=false, delim=',', quote='\"', "  # noqa: S608
                f"escape='\"', new_line='{line_end}', columns={{{listed}}}, nullstr='', "
                f"allow_quoted_nulls=false, strict_mode=true, max_line_size={2 * MAX_LINE_BYTES})"
            ).pl()
    except duckdb.Error:
        # The message would quote the row.
        return None
    return frame


def _numbers(piece: Piece, height: int) -> pl.Series | None:
    """Line of each record where each line is one; None where that is not so."""
    lines = piece.data.count(b"\n") + (not piece.data.endswith(b"\n"))
    if lines != height:
        return None
    return pl.int_range(piece.first_line, piece.first_line + height, dtype=pl.Int64, eager=True)


@dataclass(frozen=True)
class _Parts:
    """A piece parted: the good records, each ended by LF, the lines they begin on, and the bad ones."""

    data: bytearray
    numbers: list[int]
    refused: list[Refused]


def _parted(piece: Piece, width: int) -> _Parts:
    """Find the records that are well formed and have ``width`` cells; a bad one ends with its line."""
    good = re.compile(rb"%s(?:,%s){%d}%s" % (_CELL, _CELL, width - 1, _END))
    parts, data, place, line = _Parts(bytearray(), [], []), piece.data, 0, piece.first_line
    while place < len(data):
        match = good.match(data, place) or _ANY.match(data, place)
        end = match.end() if match else data.find(b"\n", place) + 1 or len(data)
        record = data[place:end].removesuffix(b"\n").removesuffix(b"\r")
        reason = _reason(record, match is not None, match is not None and match.re is good)
        if line in piece.too_long:
            parts.refused.append(Refused(line, "line_too_long", piece.too_long[line].decode("latin-1")))
        elif record and reason is None:
            parts.data.extend(record + b"\n")
            parts.numbers.append(line)
        elif record:
            at_end = piece.last and not piece.terminated and end == len(data)
            cut_off = at_end and reason in ("malformed_csv", "wrong_column_count")
            parts.refused.append(_refused(record, line, "truncated_last_line" if cut_off else reason or ""))
        line += data.count(b"\n", place, end)
        place = end
    return parts


def _reason(record: bytearray, is_record: bool, has_width: bool) -> str | None:
    if len(record) > MAX_LINE_BYTES:
        return "line_too_long"
    if b"\0" in record:
        return "nul_byte"
    if not is_utf8(record):
        return "invalid_utf8"
    if not is_record:
        return "malformed_csv"
    return None if has_width else "wrong_column_count"


def _refused(record: bytearray, line: int, reason: str) -> Refused:
    kept = record[:KEPT_BYTES] if reason == "line_too_long" else record
    return Refused(line, reason, kept.decode("utf-8" if is_utf8(kept) else "latin-1"))
