"""What was received, as bytes that can be read again and again, and which format their name says.

Nothing here looks into the bytes; that begins in ``pieces``.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pipelines.errors import UsageError
from pipelines.landing.compression import SUFFIXES, Compression, expanded

Format = Literal["ndjson", "json", "csv", "parquet"]

READ_BYTES = 8 << 20
#: What is only looked through is read in blocks that stay in the cache.
BLOCK_BYTES = 1 << 20
_SUFFIXES: dict[str, Format] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Payload:
    """Received bytes that can be opened again and again.

    Attributes:
        name: file name without its folder.
        format: how to read it, after decompression.
        compression: how the received bytes are packed; None when they are not.
        size: length in bytes as received.
        open: gives a fresh stream of the received bytes.
        stamp: changes when somebody writes to the file.
    """

    name: str
    format: Format
    compression: Compression | None
    size: int
    open: Callable[[], BinaryIO]
    stamp: Callable[[], object] = lambda: None

    def sha256(self) -> str:
        """sha256 (hex) of the received bytes: the id of the batch."""
        with self.open() as stream:
            return hashlib.file_digest(stream, "sha256", _bufsize=BLOCK_BYTES).hexdigest()  # type: ignore[arg-type]

    def blocks(self) -> Iterator[bytes]:
        """The received bytes in blocks."""
        with self.open() as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block

    def decoded(self) -> BinaryIO:
        """A stream of the bytes after decompression."""
        stream = self.open()
        return expanded(stream, self.compression, self.size) if self.compression else stream


def payload_of_file(path: Path) -> Payload:
    """A file as a payload; a link counts as what it leads to.

    Raises:
        UsageError: it is not there, is a folder or a pipe, cannot be read, or its name says no known format.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UsageError(f"{path}: is a directory; name its files: {path}/*")
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path}: is not a regular file; write what it gives to a file first")
        path.open("rb").close()
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    form, compression = format_of(path.name)
    return Payload(path.name, form, compression, status.st_size, lambda: path.open("rb"), lambda: _stamp(path))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def payload_of_bytes(data: bytes, name: str) -> Payload:
    """A request body as a payload; ``name`` says the format, such as ``body.ndjson.gz``."""
    form, compression = format_of(name)
    return Payload(name, form, compression, len(data), lambda: io.BytesIO(data))


def payload_of_handle(handle: int, name: str) -> Payload:
    """An open file, which may have no name any more, as a payload; the handle stays open while it is used.

    Raises:
        UsageError: ``name`` says no known format.
    """
    form, compression = format_of(name)
    # Opened anew each time, so that every stream has a place of its own.
    return Payload(
        name, form, compression, os.fstat(handle).st_size, lambda: Path(f"/proc/self/fd/{handle}").open("rb")
    )


def ending_of(name: str) -> str:
    """The end of a file name that says its format, such as ``.csv.gz``, as it is written."""
    path = Path(name)
    return path.with_suffix("").suffix + path.suffix if path.suffix.lower() in SUFFIXES else path.suffix


def format_of(name: str) -> tuple[Format, Compression | None]:
    """Format and compression, from a file name.

    Raises:
        UsageError: the name ends in nothing known.
    """
    path = Path(name.lower())
    compression = SUFFIXES.get(path.suffix)
    suffix = path.with_suffix("").suffix if compression else path.suffix
    if suffix not in _SUFFIXES:
        raise UsageError(f"{name}: format unknown; use .ndjson, .json, .csv or .parquet, each also with .gz or .zst")
    return _SUFFIXES[suffix], compression
