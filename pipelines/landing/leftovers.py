"""Files of batches that were never committed: their run was killed, and what it read was not sent again.

No reader sees them, and no erasure finds anybody in them, since erasures go from receipt to receipt. When they go is
up to whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.config import Tenant
from pipelines.landing import layout, store
from schemas.entities import ENTITIES


def sealed(tenant: Tenant) -> Iterator[Path]:
    """Sealed files of the vault that belong to no committed batch, those of live runs among them."""
    batches = _committed(tenant)
    folders = {layout.sealed_raw(tenant, "").parent: set[str]().union(*batches.values())}
    for entity, known in batches.items():
        folders[layout.sealed_personal(tenant, entity, "").parent] = known
        folders[layout.sealed_quarantine(tenant, entity, "").parent] = known
    for folder, known in folders.items():
        for file in folder.glob("*"):
            if file.is_file() and file.name.removesuffix(".enc") not in known:
                yield file


def landed(tenant: Tenant) -> Iterator[Path]:
    """Files of landing that belong to no committed batch, those of live runs among them."""
    for entity, known in _committed(tenant).items():
        for file in layout.folder(tenant, entity).glob("[!.]*"):
            if file.is_file() and file.name.partition(".")[0] not in known:
                yield file


def remove(tenant: Tenant, but: str = "") -> int:
    """Remove all of them but those of one batch; how many. The caller lets no ingest run."""
    found = [file for file in [*sealed(tenant), *landed(tenant)] if not but or but not in file.name]
    for file in found:
        file.unlink()
    return len(found)


def _committed(tenant: Tenant) -> dict[str, set[str]]:
    return {entity: {receipt.batch_id for receipt in store.committed(tenant, entity)} for entity in ENTITIES}
