"""What a store of whole objects must do, and what is derived from it for all stores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pipelines.errors import MurmurError, UsageError


class StoreError(MurmurError, OSError):
    """A store refuses, or cannot be reached."""


class ObjectNotFoundError(MurmurError):
    """There is no object of that key."""


@dataclass(frozen=True)
class Found:
    """An object as a listing shows it.

    Attributes:
        key: below the root.
        size: bytes.
        version: changes whenever the object is written: ETag, generation, or inode and time of a file.
        modified: when it was written last.
        is_link: a symbolic link in a folder.
    """

    key: str
    size: int
    version: str
    modified: datetime
    is_link: bool = False


class ObjectStore(Protocol):
    """Whole objects by key below one root. Keys are relative, with ``/`` between their parts."""

    @property
    def url(self) -> str:
        """Root URL without a trailing slash."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Create an object unless the key is taken, in one atomic request.

        Returns:
            True when the object now holds exactly ``data``: this call made it, or it was equal already (a retry whose
            first answer was lost cannot be told from that). False when somebody else's other data is there, which
            stays.
        """
        ...

    def put(self, key: str, data: bytes | Path) -> None:
        """Create or replace an object; readers see the old one or the new one."""
        ...

    def get(self, key: str) -> bytes:
        """All bytes of an object.

        Raises:
            ObjectNotFoundError: it is not there.
        """
        ...

    def chunks(self, key: str) -> Iterator[bytes]:
        """The bytes of an object a piece at a time, for what may be larger than memory allows; raises like ``get``."""
        ...

    def stored_sha256(self, key: str) -> str | None:
        """sha256 of an object as the store has it, read back where the store keeps none; None when it is not there."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key is taken."""
        ...

    def list(self, prefix: str = "") -> Sequence[str]:
        """Keys that start with the prefix, sorted; no folders."""
        ...

    def look(self, prefix: str = "") -> Sequence[Found]:
        """The objects whose keys start with the prefix, sorted by key, with what the listing says of them."""
        ...

    def copy(self, key: str, target: str) -> None:
        """Make or replace ``target`` with the object's bytes, without sending them here where the store can do that.

        Raises:
            ObjectNotFoundError: it is not there.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when it is not there."""
        ...


def object_sha256(store: ObjectStore, key: str) -> str | None:
    """sha256 of an object's bytes; None when it is not there."""
    digest = hashlib.sha256()
    try:
        for chunk in store.chunks(key):
            digest.update(chunk)
    except ObjectNotFoundError:
        return None
    return digest.hexdigest()


def fetch(store: ObjectStore, key: str, path: Path) -> str:
    """Bring an object to the local disk, a piece at a time.

    Returns:
        sha256 of its bytes.

    Raises:
        ObjectNotFoundError: it is not there.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in store.chunks(key):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def checked_key(key: str) -> str:
    """The key itself.

    Raises:
        UsageError: it is empty, absolute, or climbs out of the root.
    """
    parts = key.split("/")
    if not key or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"object key {key!r} must be relative, without empty parts, '.' or '..'")
    return key


def below(prefix: str, key: str) -> str:
    """A key under the prefix of the store's root."""
    return f"{prefix}/{checked_key(key)}" if prefix else checked_key(key)


def relative(prefix: str, keys: Iterator[str] | Sequence[str]) -> Sequence[str]:
    """Keys of the whole bucket as keys below the root, sorted."""
    start = len(prefix) + 1 if prefix else 0
    return sorted(key[start:] for key in keys)


def content_type(key: str) -> str:
    """Media type by the ending of a key."""
    kinds = {"csv": "text/csv; charset=utf-8", "json": "application/json", "parquet": "application/vnd.apache.parquet"}
    return kinds.get(key.rpartition(".")[2], "application/octet-stream")
