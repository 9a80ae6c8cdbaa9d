"""Text files in pieces that end at record borders, after the checks that bytes alone decide.

A piece is what one parser call gets; its size bounds memory. Nothing here knows what a record says.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from pipelines.landing.refusals import FileRefusedError
from pipelines.landing.source import READ_BYTES, Payload

PIECE_BYTES = 24 << 20
MAX_LINE_BYTES = 16 << 20
#: What stands in a piece for a line that was set aside: no parser takes it for a record.
PLACEHOLDER = b"!"
#: How much of an overlong line is kept with its refusal; the received bytes are kept anyway.
KEPT_BYTES = 4096
#: Bytes that are compared at once, so that the comparison stays in the cache.
_COUNTED_BYTES = 1 << 18
_LINE_FEED = 10
_FOREIGN_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Piece:
    """Whole records of a text file.

    Attributes:
        data: the bytes, UTF-8 not yet checked; nobody changes them.
        first_line: 1-based line number of the first line.
        last: nothing follows.
        terminated: the file goes on, or ends with a line end.
        line_ends: how many line feeds there are, where they have been counted.
        too_long: line number -> beginning, of lines that did not fit and have ``PLACEHOLDER`` in their place.
    """

    data: bytearray
    first_line: int
    last: bool
    terminated: bool
    line_ends: int | None = None
    too_long: dict[int, bytes] = field(default_factory=dict)


def text_pieces(payload: Payload, *, quoted: bool = False, size: int | None = None) -> Iterator[Piece]:
    """Cut a text file at record borders into pieces of about ``size`` bytes (``PIECE_BYTES``).

    Args:
        payload: the file.
        quoted: line ends inside double quotes belong to the record (CSV).
        size: bytes per piece.

    Raises:
        FileRefusedError: empty, not UTF-8 by its first bytes, CR-only, or broken compression.
    """
    size = size or PIECE_BYTES
    line, rest, first, seen = 1, bytearray(), True, False
    with payload.decoded() as stream:
        while True:
            data, ended = _extended(stream, rest, size)
            if first:
                data, first = checked_head(data), False
                _refuse_lone_returns(data)
                seen = bool(data) and not data.isspace()
            if ended:
                break
            seen = seen or not data.isspace()
            cut = _border(data, quoted)
            if not cut:
                piece, rest = _overlong(stream, data, line)
                if piece.last:
                    yield piece
                    return
                yield piece
                line += 1
                continue
            rest = data[cut:]
            del data[cut:]
            count = line_ends(data)
            yield Piece(data, line, False, True, count)
            line += count
    if not seen and (data.isspace() or not data):
        raise FileRefusedError("empty_file")
    yield Piece(data, line, True, data.endswith(b"\n") or not data)


def line_ends(data: bytearray) -> int:
    """How many line feeds there are."""
    # Several times quicker than ``bytearray.count``, which stops at each of them.
    found = np.frombuffer(data, np.uint8)
    return sum(
        int(np.count_nonzero(found[start : start + _COUNTED_BYTES] == _LINE_FEED))
        for start in range(0, len(found), _COUNTED_BYTES)
    )


def extremes(data: bytearray) -> tuple[int, int]:
    """The least and the greatest byte; of no bytes those of plain text."""
    found = np.frombuffer(data, np.uint8)
    return (int(found.min()), int(found.max())) if len(found) else (_LINE_FEED, _LINE_FEED)


def is_utf8(data: bytes | bytearray) -> bool:
    """Whether the bytes are UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def has_long_line(data: bytearray, limit: int | None = None) -> bool:
    """Whether any line is longer than ``limit`` (``MAX_LINE_BYTES``)."""
    limit, start = limit or MAX_LINE_BYTES, 0
    while len(data) - start > limit:
        end = data.rfind(b"\n", start, start + limit + 1)
        if end < 0:
            return True
        start = end + 1
    return False


def checked_head(data: bytearray) -> bytearray:
    """The beginning of a text without its UTF-8 byte order mark.

    Raises:
        FileRefusedError: it looks like UTF-16 or UTF-32.
    """
    if data.startswith(_FOREIGN_MARKS):
        raise FileRefusedError("not_utf8:utf-16")
    data = data.removeprefix(codecs.BOM_UTF8)
    head = data[:4096]
    if head.count(b"\0") * 5 > len(head):
        raise FileRefusedError("not_utf8:utf-16")
    return data


def _refuse_lone_returns(data: bytearray) -> None:
    if b"\n" not in data and b"\r" in data.rstrip(b"\r"):
        raise FileRefusedError("cr_line_ends")


def _extended(stream: BinaryIO, rest: bytearray, size: int) -> tuple[bytearray, bool]:
    """``rest`` with up to ``size`` bytes of the stream after it, and whether the stream has ended.

    Read into place: a copy of a piece costs as much as checking it.
    """
    data = bytearray(len(rest) + size)
    data[: len(rest)] = rest
    end = len(rest)
    with memoryview(data) as view:
        while end < len(data) and (count := stream.readinto(view[end:])):  # type: ignore[attr-defined]
            end += count
    ended = end < len(data)
    del data[end:]
    return data, ended


def _border(data: bytearray, quoted: bool) -> int:
    """Length of the whole records at the start of ``data``; 0 when no record ends in it."""
    last = data.rfind(b"\n") + 1
    if not quoted:
        return last
    cut = last
    odd = data.count(b'"', 0, cut) % 2
    while odd and cut:
        before = data.rfind(b"\n", 0, cut - 1) + 1
        odd = (odd + data.count(b'"', before, cut)) % 2
        cut = before
    # A quote that nobody closes must not swallow the rest of the file.
    return cut or last


def _overlong(stream: BinaryIO, data: bytearray, line: int) -> tuple[Piece, bytearray]:
    """A piece for a line that fills ``data`` without an end, and what comes after that line."""
    kept, rest, ended = {line: bytes(data[:KEPT_BYTES])}, bytearray(), True
    while block := stream.read(READ_BYTES):
        if (end := block.find(b"\n")) >= 0:
            rest, ended = bytearray(block[end + 1 :]), False
            break
    text = bytearray(PLACEHOLDER if ended else PLACEHOLDER + b"\n")
    return Piece(text, line, ended, not ended, 0 if ended else 1, kept), rest
