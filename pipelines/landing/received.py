"""Records that somebody posts one at a time: each body is stored whole and flushed before it is answered.

They lie in a folder that is looked at like any inbox of the tenant, so that they land like dropped files, and go when
they have landed. Many small bodies are joined to one file first, since a batch costs as much for one record as for
thousands.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pipelines.config import Tenant
from pipelines.storage.durable import create_bytes


def received_folder(tenant: Tenant) -> Path:
    """Where such bodies wait, ``<entity>/<sha256>.json``, and joined ones, ``<entity>/<sha256>.ndjson``."""
    return tenant.home / "received" / tenant.id


def keep(tenant: Tenant, entity: str, body: bytes) -> bool:
    """Store a JSON body; false where the same bytes wait already. What landed before lands as a duplicate."""
    return create_bytes(received_folder(tenant) / entity / f"{_name(body)}.json", body)


def join(tenant: Tenant) -> None:
    """Join the bodies that wait to one file an entity, as they were posted.

    The joined file is there, whole, before a body goes: a run that is killed in between leaves bodies that land again,
    as duplicates. A list, or an object over several lines, lands alone.
    """
    for folder in sorted(received_folder(tenant).glob("*/")):
        bodies = {file: file.read_bytes().strip() for file in sorted(folder.glob("*.json"))}
        plain = {file: body for file, body in bodies.items() if body.startswith(b"{") and b"\n" not in body}
        if len(plain) < 2:
            continue
        data = b"".join(body + b"\n" for body in plain.values())
        newest = max(file.stat().st_mtime_ns for file in plain)
        joined = folder / f"{_name(data)}.ndjson"
        create_bytes(joined, data)
        # It is as settled as the bodies that it is made of.
        os.utime(joined, ns=(newest, newest))
        for file in plain:
            file.unlink()


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
