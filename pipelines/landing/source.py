"""What was received, as bytes: which format it is, whether it can be read at all, and pieces of it at record borders.

Nothing here knows entities. A file that cannot be read raises ``FileRefusedError`` with a typed reason.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pipelines.errors import UsageError
from pipelines.landing.refusals import FileRefusedError

Format = Literal["ndjson", "json", "csv", "parquet"]

PIECE_BYTES = 48 << 20
READ_BYTES = 8 << 20
_SUFFIXES: dict[str, Format] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
_FOREIGN_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Payload:
    """Received bytes that can be opened again and again.

    Attributes:
        name: file name without its folder.
        format: how to read it, after decompression.
        compressed: whether it is gzip.
        size: length in bytes as received.
        open: gives a fresh stream of the received bytes.
        stamp: changes when somebody writes to the file.
    """

    name: str
    format: Format
    compressed: bool
    size: int
    open: Callable[[], BinaryIO]
    stamp: Callable[[], object] = lambda: None

    def sha256(self) -> str:
        """sha256 (hex) of the received bytes: the id of the batch."""
        with self.open() as stream:
            return hashlib.file_digest(stream, "sha256", _bufsize=READ_BYTES).hexdigest()  # type: ignore[arg-type]

    def blocks(self) -> Iterator[bytes]:
        """The received bytes in blocks."""
        with self.open() as stream:
            while block := stream.read(READ_BYTES):
                yield block

    def decoded(self) -> BinaryIO:
        """A stream of the bytes after decompression."""
        stream = self.open()
        return io.BufferedReader(gzip.GzipFile(fileobj=stream)) if self.compressed else stream


def payload_of_file(path: Path) -> Payload:
    """A file as a payload.

    Raises:
        UsageError: it is not there, is a folder, cannot be read, or its name says no known format.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; name its files: {path}/*")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    try:
        size = path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    form, compressed = format_of(path.name)
    return Payload(path.name, form, compressed, size, lambda: path.open("rb"), lambda: _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def payload_of_bytes(data: bytes, name: str) -> Payload:
    """A request body as a payload; ``name`` says the format, such as ``body.ndjson.gz``."""
    form, compressed = format_of(name)
    return Payload(name, form, compressed, len(data), lambda: io.BytesIO(data))


def format_of(name: str) -> tuple[Format, bool]:
    """Format and whether gzip, from a file name.

    Raises:
        UsageError: the name ends in nothing known.
    """
    lower = name.lower()
    compressed = lower.endswith(".gz")
    suffix = Path(lower.removesuffix(".gz")).suffix
    if suffix not in _SUFFIXES:
        raise UsageError(f"{name}: format unknown; use .ndjson, .json, .csv or .parquet, each also with .gz")
    return _SUFFIXES[suffix], compressed


@dataclass(frozen=True)
class Piece:
    """Whole records of a text file.

    Attributes:
        data: the bytes, UTF-8 not yet checked; nobody changes them.
        first_line: 1-based line number of the first line.
        last: nothing follows.
        terminated: the file goes on, or ends with a line end.
        line_ends: how many line feeds there are, where they have been counted.
    """

    data: bytearray
    first_line: int
    last: bool
    terminated: bool
    line_ends: int | None = None


def text_pieces(payload: Payload, *, quoted: bool = False, size: int | None = None) -> Iterator[Piece]:
    """Cut a text file at record borders into pieces of about ``size`` bytes (``PIECE_BYTES``).

    Args:
        payload: the file.
        quoted: line ends inside double quotes belong to the record (CSV).
        size: bytes per piece.

    Raises:
        FileRefusedError: empty, not UTF-8 by its first bytes, CR-only, broken gzip, or a line longer than a piece.
    """
    size = size or PIECE_BYTES
    line, rest, first, seen = 1, bytearray(), True, False
    with payload.decoded() as stream:
        while True:
            data, ended = _extended(stream, rest, size)
            if first:
                data, first = _checked_head(data), False
                seen = seen or not (data.isspace() or not data)
            if ended:
                break
            cut = _border(data, quoted)
            rest = data[cut:]
            del data[cut:]
            count = data.count(b"\n")
            yield Piece(data, line, False, True, count)
            line += count
    if not seen:
        raise FileRefusedError("empty_file")
    yield Piece(data, line, True, data.endswith(b"\n") or not data)


def whole(payload: Payload) -> bytes:
    """All bytes after decompression.

    Raises:
        FileRefusedError: broken gzip.
    """
    with payload.decoded() as stream:
        return b"".join(iter(lambda: _read(stream, READ_BYTES), b""))


def _read(stream: BinaryIO, size: int) -> bytes:
    """As ``read``, with gzip errors as a reason."""
    try:
        return stream.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise FileRefusedError("broken_gzip") from None


def _extended(stream: BinaryIO, rest: bytearray, size: int) -> tuple[bytearray, bool]:
    """``rest`` with up to ``size`` bytes of the stream after it, and whether the stream has ended.

    Read into place: a copy of a piece costs as much as checking it.
    """
    data = bytearray(len(rest) + size)
    data[: len(rest)] = rest
    end = len(rest)
    try:
        with memoryview(data) as view:
            while end < len(data) and (count := stream.readinto(view[end:])):  # type: ignore[attr-defined]
                end += count
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise FileRefusedError("broken_gzip") from None
    ended = end < len(data)
    del data[end:]
    return data, ended


def _checked_head(data: bytearray) -> bytearray:
    """Drop a UTF-8 byte order mark; refuse what is no UTF-8 text with line feeds."""
    if data.startswith(_FOREIGN_MARKS):
        raise FileRefusedError("not_utf8:utf-16")
    data = data.removeprefix(codecs.BOM_UTF8)
    head = data[:4096]
    if head.count(b"\0") * 5 > len(head):
        raise FileRefusedError("not_utf8:utf-16")
    if b"\n" not in data and b"\r" in data.rstrip(b"\r"):
        raise FileRefusedError("cr_line_ends")
    return data


def _border(data: bytearray, quoted: bool) -> int:
    """Length of the whole records at the start of ``data``."""
    cut = data.rfind(b"\n") + 1
    if quoted:
        odd = data.count(b'"', 0, cut) % 2
        while odd and cut:
            before = data.rfind(b"\n", 0, cut - 1) + 1
            odd = (odd + data.count(b'"', before, cut)) % 2
            cut = before
    if not cut:
        raise FileRefusedError("line_too_long")
    return cut
