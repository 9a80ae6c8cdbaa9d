"""The vault's cipher: sealed files, the keys behind them, and the keyed hash of a contact.

A sealed file is a row of AES-256-GCM frames; each frame is bound to the file's name, its place and whether it is the
last, so that frames cannot be cut off, moved or swapped unnoticed. What is split off is decided in ``personal``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipelines.config import Tenant
from pipelines.errors import MurmurError, UsageError
from pipelines.storage.durable import create_bytes, replacing

LOG = logging.getLogger(__name__)
KEY_VARIABLE = "MURMUR_VAULT_KEY"
KEY_BYTES = 32
_MAGIC = b"MURV1\n"
_NONCE_BYTES = 12
_HEADER = struct.Struct(">IQ?")
_COMPRESSION_LEVEL = 1


def vault_keys(tenant: Tenant) -> list[bytes]:
    """The tenant's master keys, newest first: ``MURMUR_VAULT_KEY``, or a key file made on first use.

    The variable holds base64 of 32 bytes, or several of those with commas between. The first seals, any of them opens,
    and the last is what hashes of contacts depend on, so that they outlive a change of keys.

    Raises:
        UsageError: the variable does not hold keys, is not set although this vault or ``tenant.yaml`` requires it, or
            its last key is not the one that this vault began with.
    """
    keys = [_parsed(text) for text in os.environ.get(KEY_VARIABLE, "").split(",") if text.strip()] or [
        _key_file(tenant)
    ]
    check = tenant.vault / "key.check"
    expected = hmac.new(keys[-1], b"murmuration/check", hashlib.sha256).hexdigest().encode()
    if not check.exists():
        _create_private(check, expected)
    if not hmac.compare_digest(check.read_bytes(), expected):
        raise UsageError(
            f"{KEY_VARIABLE}: is not the key that the vault of tenant {tenant.id} was sealed with; "
            "a new key goes before the old one, with a comma between"
        )
    return keys


def _parsed(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError(f"{KEY_VARIABLE}: is not base64 of {KEY_BYTES} bytes; make one: openssl rand -base64 32")
    return key


def _key_file(tenant: Tenant) -> bytes:
    """A key beside the data protects nothing from whoever holds both, so it is for a vault below home only."""
    file = tenant.vault / "key"
    if tenant.config.vault_key == "required":
        raise UsageError(
            f"{KEY_VARIABLE}: is not set, and tenant {tenant.id} requires it (vault_key of tenant.yaml); "
            "set it to the key in base64, a new one from: openssl rand -base64 32"
        )
    if not file.exists():
        begun = (tenant.vault / "key.check").exists() or next(tenant.vault.rglob("*.enc"), None) is not None
        if begun or not tenant.vault.is_relative_to(tenant.home):
            raise UsageError(
                f"{KEY_VARIABLE}: is not set, and the vault of tenant {tenant.id} cannot be used without it; "
                "set it to the key in base64"
            )
        _create_private(file, os.urandom(KEY_BYTES))
        LOG.warning("the vault of tenant %s has a new key: %s; keep it safe, nothing opens without it", tenant.id, file)
    return file.read_bytes()


def _create_private(file: Path, data: bytes) -> None:
    previous = os.umask(0o077)
    try:
        create_bytes(file, data)
    finally:
        os.umask(previous)


def derived_key(tenant: Tenant, purpose: str) -> bytes:
    """A key for one purpose of one tenant, by HKDF-SHA256 from the oldest master key."""
    return _derived(vault_keys(tenant)[-1], tenant, purpose)


def _derived(master: bytes, tenant: Tenant, purpose: str) -> bytes:
    info = f"murmuration/{tenant.id}/{purpose}".encode()
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(master)


def _ciphers(tenant: Tenant) -> list[AESGCM]:
    return [AESGCM(_derived(key, tenant, "content")) for key in vault_keys(tenant)]


def contact_hash(key: bytes, contact: str) -> str:
    """HMAC-SHA256 (hex) of a normalised contact; ``key`` is ``derived_key(tenant, "contact")``."""
    return hmac.new(key, contact.encode(), hashlib.sha256).hexdigest()


def seal(tenant: Tenant, path: Path, pieces: Iterable[bytes]) -> None:
    """Compress (zstd) and encrypt pieces into one file, put in place whole and durably."""
    cipher = _ciphers(tenant)[0]
    codec = pa.Codec("zstd", _COMPRESSION_LEVEL)
    with replacing(path) as temporary, _private(temporary) as file:
        file.write(_MAGIC)
        index = 0
        for index, piece in enumerate(pieces, start=1):
            file.write(_frame(cipher, codec, path, (index, False), piece))
        file.write(_frame(cipher, codec, path, (index + 1, True), b""))


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


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
    ciphers = _ciphers(tenant)
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
            packed = _opened(ciphers, nonce, sealed, _bound(path, index, last))
            if packed is None:
                raise broken
            if index != expected:
                raise broken
            expected += 1
            length = struct.unpack(">Q", packed[:8])[0]
            if length:
                yield codec.decompress(packed[8:], decompressed_size=length, asbytes=True)


def _opened(ciphers: list[AESGCM], nonce: bytes, sealed: bytes, bound: bytes) -> bytes | None:
    for cipher in ciphers:
        with suppress(InvalidTag, ValueError):
            return cipher.decrypt(nonce, sealed, bound)
    return None


def _bound(path: Path, index: int, last: bool) -> bytes:
    return f"{path.parent.name}/{path.name}/{index}/{int(last)}".encode()
