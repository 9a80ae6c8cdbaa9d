"""Which objects of the inboxes have landed, so that they are not fetched again.

A convenience and nothing more: a batch is known by the hash of its bytes, so that losing this file costs downloads.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.config import Tenant
from pipelines.storage.durable import write_bytes

Identity = tuple[str, str, int, str]
_SLACK = 1000


def _file(tenant: Tenant) -> Path:
    return tenant.state / "inbox" / "seen.ndjson"


def seen(tenant: Tenant) -> dict[Identity, str]:
    """Identity -> batch id of every object that has landed."""
    file = _file(tenant)
    lines = file.read_bytes().split(b"\n") if file.exists() else []
    # The last line may be cut off where a run was killed; its object is fetched again.
    records = (json.loads(line) for line in lines[:-1] if line)
    return {(r["root"], r["key"], r["size"], r["version"]): r["batch_id"] for r in records}


def remember(tenant: Tenant, identity: Identity, batch_id: str) -> None:
    """Add one object, durably."""
    file = _file(tenant)
    file.parent.mkdir(parents=True, exist_ok=True)
    line = _line(identity, batch_id)
    with file.open("r+b" if file.exists() else "w+b") as stream:
        # What a killed run left of a line is written over.
        whole = stream.read().rfind(b"\n") + 1
        stream.seek(whole)
        stream.truncate()
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def forget_others(tenant: Tenant, present: Collection[Identity]) -> None:
    """Drop what is no longer in the inboxes, once that is most of the file."""
    known = seen(tenant)
    kept = {identity: known[identity] for identity in known if identity in set(present)}
    if len(known) > 2 * len(kept) + _SLACK:
        write_bytes(_file(tenant), b"".join(_line(*item) for item in kept.items()))


def _line(identity: Identity, batch_id: str) -> bytes:
    root, key, size, version = identity
    record = {"root": root, "key": key, "size": size, "version": version, "batch_id": batch_id}
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


@contextmanager
def alone(tenant: Tenant) -> Iterator[None]:
    """One look at a tenant's inboxes at a time."""
    file = _file(tenant).with_name("lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
