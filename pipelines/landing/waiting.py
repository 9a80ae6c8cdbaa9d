"""Bytes that may name a person, on their way to the vault: in memory while they are few, then encrypted on disk.

The key of a waiting file lives in this process only, so that nobody can read what a killed one leaves behind. Sealing
for good is the vault's part.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Bytes that wait in memory.
MOST_BYTES = 16 << 20
_NONCE_BYTES = 12


class Waiting:
    """Pieces of bytes in the order in which they came.

    Args:
        path: where they may wait; its folder is made when needed, and the caller removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._sizes: list[int] = []
        self._held: list[bytes] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._sizes or self._held)

    def __iter__(self) -> Iterator[bytes]:
        """Every piece, as often as asked."""
        if self._sizes:
            with self._path.open("rb") as file:
                for size in self._sizes:
                    nonce, sealed = file.read(_NONCE_BYTES), file.read(size)
                    yield self._cipher.decrypt(nonce, sealed, None)
        yield from self._held

    def append(self, piece: bytes) -> None:
        """Take one more piece."""
        self._held.append(piece)
        self._bytes += len(piece)
        if self._bytes > MOST_BYTES:
            self._spill()

    def _spill(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab" if self._sizes else "wb") as file:
            for piece in self._held:
                nonce = os.urandom(_NONCE_BYTES)
                sealed = self._cipher.encrypt(nonce, piece, None)
                file.write(nonce + sealed)
                self._sizes.append(len(sealed))
        self._held, self._bytes = [], 0
