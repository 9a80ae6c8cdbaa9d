"""A JSON array of objects, element by element: each becomes a line of its own, numbered by its place in the array.

What is broken inside an element refuses that element; only what has no end refuses all that follows.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

from pipelines.landing.ndjson import ndjson, wrong_line
from pipelines.landing.pieces import KEPT_BYTES, MAX_LINE_BYTES, Piece, checked_head, text_pieces
from pipelines.landing.refusals import FileRefusedError, Refused
from pipelines.landing.source import READ_BYTES, Payload
from pipelines.landing.texts import Texts

_FIRST_BYTES = 1 << 16
_JSON = json.JSONDecoder()
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_MARK = re.compile(r'["\[\]{}]')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_WORD = re.compile(r"[^,\]]+")


Parse = Callable[[], Texts]


def json_array(payload: Payload, columns: Sequence[str]) -> Iterator[Parse]:
    """Cut an array of objects, one object, or, whatever its name says, NDJSON into pieces to parse."""
    with payload.decoded() as stream:
        start = checked_head(bytearray(_first(stream, _FIRST_BYTES))).lstrip()
        if start.startswith(b"["):
            yield from _array(stream, bytes(start[1:]), columns)
            return
    for piece in text_pieces(payload):
        if piece.last and piece.first_line == 1 and wrong_line(piece.data.decode("utf-8", "replace")) is None:
            text = piece.data.replace(b"\r", b" ").replace(b"\n", b" ")
            yield partial(ndjson, Piece(text, 1, True, True), columns)
        else:
            yield partial(ndjson, piece, columns)


def _array(stream: BinaryIO, start: bytes, columns: Sequence[str]) -> Iterator[Parse]:
    """The elements of an array whose bracket has been read, and why reading stopped where it had to."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, number, ended = _decoded(decoder, start), 1, False
    while True:
        elements, place, closed = _cut(text, ended)
        if elements:
            yield partial(_parsed, elements, number, [], columns)
            number += len(elements)
        text = text[place:]
        if closed:
            rest = _after(stream, decoder, text[1:])
            if rest:
                yield partial(_parsed, [], number, [Refused(number, "text_after_array", rest)], columns)
            return
        if ended or len(text) > MAX_LINE_BYTES:
            reason = "truncated_array" if ended else "line_too_long"
            cut_off = Refused(number, reason, text if ended else text[:KEPT_BYTES])
            yield partial(_parsed, [], number, [cut_off], columns)
            return
        block = stream.read(READ_BYTES)
        ended = not block
        text += _decoded(decoder, block)


def _parsed(elements: list[str], number: int, refused: list[Refused], columns: Sequence[str]) -> Texts:
    lines = "".join(f"{element}\n" for element in elements)
    texts = ndjson(Piece(bytearray(lines.encode()), number, False, True), columns)
    texts.refused.extend(refused)
    return texts


def _cut(text: str, ended: bool) -> tuple[list[str], int, bool]:
    """Elements that end in the text, each on one line; where the rest begins; whether that closes the array."""
    elements: list[str] = []
    place = 0
    while True:
        between = _BETWEEN.match(text, place)
        place = between.end() if between else place
        if place >= len(text):
            return elements, place, False
        if text[place] == "]":
            return elements, place, True
        end = _element_end(text, place)
        # What ends with the text may go on in the next block.
        if not end or (end >= len(text) and not ended):
            return elements, place, False
        elements.append(text[place:end].replace("\r", " ").replace("\n", " "))
        place = end


def _element_end(text: str, place: int) -> int:
    """Where the element that begins at ``place`` ends, broken or not; 0 when the text has no end of it."""
    try:
        return _JSON.raw_decode(text, place)[1]
    except (ValueError, RecursionError):
        if text[place] in '"{[}':
            return _balanced(text, place)
        word = _WORD.match(text, place)
        return word.end() if word else place + 1


def _balanced(text: str, place: int) -> int:
    """End judged by brackets and strings alone; 0 when there is none."""
    depth = 0
    while mark := _MARK.search(text, place):
        place = mark.end()
        if mark[0] == '"':
            string = _STRING.match(text, mark.start())
            if string is None:
                return 0
            place = string.end()
        else:
            depth += 1 if mark[0] in "[{" else -1
        if depth <= 0:
            return place
    return 0


def _after(stream: BinaryIO, decoder: codecs.IncrementalDecoder, rest: str) -> str:
    """Beginning of what follows an array besides space; empty when nothing does."""
    while not rest.strip() and (block := stream.read(READ_BYTES)):
        rest = _decoded(decoder, block)
    return rest.strip()[:KEPT_BYTES]


def _decoded(decoder: codecs.IncrementalDecoder, block: bytes) -> str:
    try:
        return decoder.decode(block, final=not block)
    except UnicodeDecodeError:
        raise FileRefusedError("not_utf8") from None


def _first(stream: BinaryIO, size: int) -> bytes:
    """The first bytes of a stream, ``size`` of them unless it is shorter."""
    found = b""
    while len(found) < size and (block := stream.read(size - len(found))):
        found += block
    return found
