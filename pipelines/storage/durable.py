"""Files that are either whole or not there: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READ_SIZE = 1 << 20


def fsync_folder(folder: Path) -> None:
    """Make a rename inside the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    """Flush a finished file to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; renamed onto it on success, removed on failure.

    Args:
        path: where the finished file belongs; its folder is made.
        sync: fsync file and folder before returning, for what must survive a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        if sync:
            fsync_file(temporary)
        temporary.replace(path)
        if sync:
            fsync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Put a whole file in place."""
    with replacing(path, sync=sync) as temporary:
        temporary.write_bytes(data)


def create_bytes(path: Path, data: bytes) -> bool:
    """Put a whole file in place unless one is there already; true when this call made it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(data)
        fsync_file(temporary)
        os.link(temporary, path)
        fsync_folder(path.parent)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True
