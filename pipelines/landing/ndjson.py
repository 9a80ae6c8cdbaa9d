"""Lines of JSON objects, parsed by DuckDB; whatever it cannot read is looked at line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence

import duckdb
import polars as pl

from pipelines.landing import values
from pipelines.landing.engine import connected
from pipelines.landing.pieces import (
    KEPT_BYTES,
    MAX_LINE_BYTES,
    PLACEHOLDER,
    Piece,
    extremes,
    has_long_line,
    is_utf8,
    line_ends,
)
from pipelines.landing.refusals import FileRefusedError, Refused
from pipelines.landing.texts import LINE, Lines, Texts, readable

#: DuckDB counts the line end and needs some room beyond.
_ROOM_BYTES = 4096
_OBJECT_BYTES = MAX_LINE_BYTES + _ROOM_BYTES
_USUAL_BYTES = 1 << 20
_LAST_ASCII = 127


def ndjson(piece: Piece, columns: Sequence[str]) -> Texts:
    """Parse whole lines of JSON objects."""
    least, most = extremes(piece.data)
    data, refused = _clean(piece, plain=least > 0 and most <= _LAST_ASCII)
    try:
        frame = _parsed(data, columns, lenient=False)
        suspects: dict[int, str] = {}
    except duckdb.Error:
        # The message would quote the row; the lenient pass finds out which rows it is.
        frame = _parsed(data, columns, lenient=True)
        suspects = _suspects(data, frame.height)
    numbers = _line_numbers(data, piece, frame.height)
    frame = frame.insert_column(0, numbers.rename(LINE))
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
        reason = suspects.get(i) or wrong_line(raws[number])
        if reason is not None:
            bad.append(i)
            if number not in known:
                refused.append(Refused(number, _truncated(piece, number, numbers, reason), raws[number]))
    if bad:
        frame = frame.filter(~pl.int_range(pl.len()).is_in(bad))
    return Texts(frame, refused, lines, values.may_hold_controls(data, most), _unknown(data, columns))


def _clean(piece: Piece, *, plain: bool) -> tuple[bytearray, list[Refused]]:
    """Lines that are too long, not UTF-8 or hold NUL are set aside; a placeholder keeps their place.

    Args:
        piece: the lines.
        plain: all of it is ASCII without NUL.
    """
    data = piece.data
    refused = [Refused(n, "line_too_long", head.decode("latin-1")) for n, head in piece.too_long.items()]
    if not has_long_line(data) and (plain or (b"\0" not in data and is_utf8(data))):
        return data, refused
    lines = data.split(b"\n")
    for index, line in enumerate(lines):
        reason = _unreadable(line)
        if reason:
            kept = line[:KEPT_BYTES] if reason == "line_too_long" else line
            refused.append(Refused(piece.first_line + index, reason, kept.decode("latin-1")))
            lines[index] = bytearray(PLACEHOLDER)
    return bytearray(b"\n").join(lines), refused


def _unreadable(line: bytearray) -> str | None:
    if len(line) > MAX_LINE_BYTES:
        return "line_too_long"
    if b"\0" in line:
        return "nul_byte"
    return None if is_utf8(line) else "invalid_utf8"


def _parsed(data: bytearray, columns: Sequence[str], *, lenient: bool) -> pl.DataFrame:
    listed = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    with readable(data) as path, connected() as connection:
        table = connection.sql(
            f"select * from read_json('{path}', format='newline_delimited', records='true', auto_detect=false, "  # noqa: S608
            f"columns={{{listed}}}, ignore_errors={lenient}, maximum_object_size={_object_bytes(data)})"
        ).to_arrow_table()
    # Most declared columns hold nothing, and one column of nothing serves them all.
    filled = [name for name in columns if table.column(name).null_count < table.num_rows]
    frame = pl.DataFrame(pl.from_arrow(table.select(filled))) if filled else pl.DataFrame()
    nothing = values.nothing(pl.String, table.num_rows)
    return pl.DataFrame([frame[name] if name in frame.columns else nothing.alias(name) for name in columns])


def _object_bytes(data: bytearray) -> int:
    """Room for the longest line; the parser takes several times as much for each of its buffers."""
    return _OBJECT_BYTES if has_long_line(data, _USUAL_BYTES) else _USUAL_BYTES + _ROOM_BYTES


def _suspects(data: bytearray, height: int) -> dict[int, str]:
    """Row index -> reason, for rows that are no JSON object or name a key twice."""
    with readable(data) as path, connected() as connection:
        rows = connection.sql(
            "select json is null or json_type(json) <> 'OBJECT' as broken, "  # noqa: S608
            "len(keys) <> len(list_distinct(keys)) as twice from (select json, json_keys(json) as keys "
            f"from read_ndjson_objects('{path}', ignore_errors=true, maximum_object_size={_OBJECT_BYTES}))"
        ).pl()
    if rows.height != height:
        raise FileRefusedError("unreadable_lines")
    found = rows.with_row_index("i").filter(pl.col("broken") | pl.col("twice").fill_null(False))
    return {i: "malformed_json" if broken else "duplicate_key_in_row" for i, broken, _ in found.iter_rows()}


def _line_numbers(data: bytearray, piece: Piece, height: int) -> pl.Series:
    """Line of each row; blank lines have none. Lines of ``data`` are those of the piece."""
    first = piece.first_line
    ends = piece.line_ends if piece.line_ends is not None else line_ends(data)
    count = ends + (0 if data.endswith(b"\n") or not data else 1)
    if count == height:
        return pl.int_range(first, first + height, dtype=pl.Int64, eager=True)
    filled = [first + i for i, line in enumerate(data.split(b"\n")) if line.strip()]
    if len(filled) != height:
        raise FileRefusedError("unreadable_lines")
    return pl.Series(filled, dtype=pl.Int64)


def wrong_line(raw: str) -> str | None:
    """Why a line is no JSON object; None when it is one."""
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
