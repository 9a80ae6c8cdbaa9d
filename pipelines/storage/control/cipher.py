"""Secrets at rest: AES-GCM under one installation key, bound to the row that they belong to."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipelines.errors import MurmurError, UsageError
from pipelines.storage.durable import fsync_file

KEY_BYTES = 32
NONCE_BYTES = 12
_VERSION = "v1:"


class Cipher:
    """Encrypts and decrypts short secrets; the key never shows in its representation.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def encrypt(self, plain: str, owner: str) -> str:
        """Text to store; ``owner`` is the id of the row, without which it does not decrypt."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._aead.encrypt(nonce, plain.encode(), owner.encode())
        return _VERSION + base64.b64encode(sealed).decode()

    def decrypt(self, stored: str, owner: str) -> str:
        """The secret again.

        Raises:
            MurmurError: the key is another one, or the text belongs to another row.
        """
        sealed = base64.b64decode(stored.removeprefix(_VERSION))
        try:
            plain = self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner.encode())
        except InvalidTag:
            raise MurmurError(
                f"the stored secret of {owner} does not open with this key; set MURMUR_CONTROL_KEY to the key "
                "that it was stored with, or rotate the secret"
            ) from None
        return plain.decode()


def installation_cipher(home: Path, encoded_key: str | None) -> Cipher:
    """Cipher of an installation.

    Args:
        home: folder where ``control.key`` is kept, made with a fresh key when it is missing.
        encoded_key: base64 of 32 bytes, usually of ``MURMUR_CONTROL_KEY``; then no file is read or made.

    Raises:
        UsageError: the key is not base64 of 32 bytes.
    """
    where = "MURMUR_CONTROL_KEY" if encoded_key else str(home / "control.key")
    text = encoded_key or _key_file(home / "control.key")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError(f"{where}: is not base64 of {KEY_BYTES} bytes; make one with: openssl rand -base64 32")
    return Cipher(key)


def _key_file(file: Path) -> str:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}.tmp")
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as opened:
            opened.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)))
        fsync_file(temporary)
        try:
            # A link fails where another process made its key first; that one then holds for both.
            os.link(temporary, file)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return file.read_text(encoding="ascii")
