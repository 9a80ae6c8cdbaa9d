"""Who may write to landing and the vault at a moment: one ingest of a tenant and entity, and an erasure alone of all.

Nobody who holds the lock of another entity ever waits for that of customers, and the others are taken in the order of
``ENTITIES``, so that no two can wait for each other.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipelines.config import Tenant
from pipelines.landing import layout
from schemas.entities import ENTITIES
from schemas.entities.envelope import Entity

#: The entity whose records erase, and so the first of all.
FIRST = "customers"


@contextmanager
def alone(tenant: Tenant, entity: Entity) -> Iterator[Path]:
    """One ingest at a time for a tenant and entity, with an empty work folder; what a killed one left is removed."""
    folder = layout.folder(tenant, entity.name)
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / ".work"
    with held(folder / ".lock"):
        for stale in [*folder.glob(".*.tmp")]:
            stale.unlink()
        shutil.rmtree(work, ignore_errors=True)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def every_other(tenant: Tenant) -> Iterator[None]:
    """No ingest of any entity but customers; the caller holds the lock of customers, or ``everything`` does."""
    with ExitStack() as stack:
        for name, entity in ENTITIES.items():
            if name != FIRST:
                stack.enter_context(alone(tenant, entity))
            _clear_replays(layout.folder(tenant, name))
        yield


@contextmanager
def everything(tenant: Tenant) -> Iterator[None]:
    """No ingest of any entity."""
    with alone(tenant, ENTITIES[FIRST]), every_other(tenant):
        yield


@contextmanager
def held(file: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """A lock on a file, made where it is not there; waits unless ``how`` says otherwise."""
    with file.open("a") as lock:
        fcntl.flock(lock, how)
        yield


@contextmanager
def one_replay(tenant: Tenant, entity: str, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """One replay at a time for a tenant and entity."""
    with held(layout.folder(tenant, entity) / ".replay.lock", how):
        yield


def _clear_replays(folder: Path) -> None:
    """Remove what killed replays were looking at, unless one is at work just now."""
    left = [path for path in folder.glob(".replay?*") if path.is_dir()]
    if not left:
        return
    with suppress(BlockingIOError), held(folder / ".replay.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
