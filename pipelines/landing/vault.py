"""The vault's cipher: sealed files, the keys behind them, and the keyed hash of a contact.

A sealed file is a row of AES-256-GCM frames; each frame is bound to the file's name, its place and whether it is the
last, so that frames cannot be cut off, moved or swapped unnoticed. What is split off is decided in ``personal``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipelines.config import Tenant
from pipelines.errors import MurmurError, UsageError
from pipelines.storage.durable import create_bytes, replacing

KEY_VARIABLE = "MURMUR_VAULT_KEY"
KEY_BYTES = 32
_MAGIC = b"MURV1\n"
_NONCE_BYTES = 12
_HEADER = struct.Struct(">IQ?")
_COMPRESSION_LEVEL = 1


def vault_key(tenant: Tenant) -> bytes:
    """The tenant's master key: ``MURMUR_VAULT_KEY`` (base64 of 32 bytes), or a key file made on first use.

    Raises:
        UsageError: the variable does not hold 32 bytes in base64.
    """
    given = os.environ.get(KEY_VARIABLE)
    if given:
        try:
            key = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise UsageError(f"{KEY_VARIABLE}: is not base64 of {KEY_BYTES} bytes; make one: openssl rand -base64 32")
        return key
    file = tenant.vault / "key"
    if not file.exists():
        previous = os.umask(0o077)
        try:
            create_bytes(file, os.urandom(KEY_BYTES))
        finally:
            os.umask(previous)
    return file.read_bytes()


def derived_key(tenant: Tenant, purpose: str) -> bytes:
    """A key for one purpose of one tenant, by HKDF-SHA256 from the master key."""
    info = f"murmuration/{tenant.id}/{purpose}".encode()
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(vault_key(tenant))


def contact_hash(key: bytes, contact: str) -> str:
    """HMAC-SHA256 (hex) of a normalised contact; ``key`` is ``derived_key(tenant, "contact")``."""
    return hmac.new(key, contact.encode(), hashlib.sha256).hexdigest()


def seal(tenant: Tenant, path: Path, pieces: Iterable[bytes]) -> None:
    """Compress (zstd) and encrypt pieces into one file, put in place whole and durably."""
    cipher = AESGCM(derived_key(tenant, "content"))
    codec = pa.Codec("zstd", _COMPRESSION_LEVEL)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC)
        index = 0
        for index, piece in enumerate(pieces, start=1):
            file.write(_frame(cipher, codec, path, (index, False), piece))
        file.write(_frame(cipher, codec, path, (index + 1, True), b""))


def _frame(cipher: AESGCM, codec: pa.Codec, path: Path, place: tuple[int, bool], piece: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    packed = struct.pack(">Q", len(piece)) + codec.compress(piece, asbytes=True)
    sealed = cipher.encrypt(nonce, packed, _bound(path, *place))
    return _HEADER.pack(len(sealed), *place) + nonce + sealed


def unseal(tenant: Tenant, path: Path) -> Iterator[bytes]:
    """The pieces of a sealed file, in order.

    Raises:
        MurmurError: the file is damaged, cut off, renamed, or was sealed with another key.
    """
    cipher = AESGCM(derived_key(tenant, "content"))
    codec = pa.Codec("zstd")
    broken = MurmurError(f"vault file {path.name}: cannot be opened; is {KEY_VARIABLE} the key it was sealed with?")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise broken
        expected, last = 1, False
        while not last:
            header = file.read(_HEADER.size)
            if len(header) != _HEADER.size:
                raise broken
            size, index, last = _HEADER.unpack(header)
            nonce, sealed = file.read(_NONCE_BYTES), file.read(size)
            try:
                packed = cipher.decrypt(nonce, sealed, _bound(path, index, last))
            except (InvalidTag, ValueError):
                raise broken from None
            if index != expected:
                raise broken
            expected += 1
            length = struct.unpack(">Q", packed[:8])[0]
            if length:
                yield codec.decompress(packed[8:], decompressed_size=length, asbytes=True)


def _bound(path: Path, index: int, last: bool) -> bytes:
    return f"{path.parent.name}/{path.name}/{index}/{int(last)}".encode()
