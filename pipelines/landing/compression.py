"""Compressed input as a stream of its content, with a limit: a few bytes must not become a disk full of them."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from pipelines.landing.refusals import FileRefusedError

Compression = Literal["gzip", "zstd"]

SUFFIXES: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
#: Content may always be this long, and longer as long as it is not more than so many times what was received.
FREE_BYTES = 256 << 20
MAX_RATIO = 200


def expanded(stream: BinaryIO, compression: Compression, received: int) -> BinaryIO:
    """The content of a compressed stream, member after member.

    Args:
        stream: the received bytes; closed with the result.
        compression: how they are packed.
        received: how many bytes there are.

    Raises:
        FileRefusedError: on reading; ``broken_gzip`` or ``broken_zstd`` where the stream is damaged or cut off,
            ``expands_too_far`` beyond ``FREE_BYTES`` and ``MAX_RATIO``.
    """
    return io.BufferedReader(_Expanding(stream, compression, max(FREE_BYTES, MAX_RATIO * received)))


class _Expanding(io.RawIOBase):
    def __init__(self, stream: BinaryIO, compression: Compression, limit: int) -> None:
        self._stream = stream
        self._compression = compression
        self._left = limit
        self._content: Any
        if compression == "gzip":
            self._content = gzip.GzipFile(fileobj=stream)
        else:
            # Held here as well, since Arrow keeps no reference that would let it be closed.
            self._content = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        try:
            count = int(self._content.readinto(target))
        except (EOFError, OSError, ValueError, zlib.error):
            raise FileRefusedError(f"broken_{self._compression}") from None
        self._left -= count
        if self._left < 0:
            raise FileRefusedError("expands_too_far")
        return count

    def close(self) -> None:
        if not self.closed:
            self._content.close()
            self._stream.close()
        super().close()
