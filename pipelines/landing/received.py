"""Records that somebody posts one at a time: each body is stored whole and flushed before it is answered.

They lie in a folder that is looked at like any inbox of the tenant, so that they land like dropped files, and go when
they have landed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipelines.config import Tenant
from pipelines.storage.durable import create_bytes


def received_folder(tenant: Tenant) -> Path:
    """Where such bodies wait, ``<entity>/<sha256>.json``."""
    return tenant.home / "received" / tenant.id


def keep(tenant: Tenant, entity: str, body: bytes) -> bool:
    """Store a JSON body; false where the same bytes wait already. What landed before lands as a duplicate."""
    return create_bytes(received_folder(tenant) / entity / f"{hashlib.sha256(body).hexdigest()}.json", body)
