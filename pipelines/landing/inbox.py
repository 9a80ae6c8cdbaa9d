"""Landing what was dropped into a tenant's inboxes: each object once, as ``murmur ingest`` would land the file.

One object that cannot be fetched stops no other. A killed run is made good by the next: what landed is known by its
bytes, whether it was remembered or not. What the tenant wants moved or deleted goes only after it landed and was
remembered, and only if it is still the object that landed.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pipelines.config import Tenant
from pipelines.errors import MurmurError
from pipelines.landing import seen
from pipelines.landing.drops import Drop, Inbox, done, drops, inboxes, landed_key, left, waiting
from pipelines.landing.free_text import shown_name
from pipelines.landing.ingest import ingest_payload
from pipelines.landing.received import join
from pipelines.landing.source import Payload, payload_of_file, payload_of_handle
from pipelines.landing.store import Receipt
from pipelines.storage.objects import LocalStore, ObjectStore

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Look:
    """What one look at the inboxes did.

    Attributes:
        receipts: of the objects that landed, in order of inbox and key.
        failed: objects that could not be read, moved or deleted now, each with one line why; the next look tries again.
        unreachable: URLs of inboxes that could not be listed, each with one line why.
        left: standing -> drops that stay where they are, such as those of unknown entities.
    """

    receipts: list[Receipt] = field(default_factory=list)
    failed: list[tuple[Drop, str]] = field(default_factory=list)
    unreachable: list[tuple[str, str]] = field(default_factory=list)
    left: dict[str, list[Drop]] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Objects by what became of them."""
        known = sum(receipt.known for receipt in self.receipts)
        counted = Counter({"landed": len(self.receipts) - known, "known": known, "failed": len(self.failed)})
        return {**counted, **{standing: len(listed) for standing, listed in sorted(self.left.items())}}


def glance(tenant: Tenant, now: datetime) -> tuple[list[Drop], Look]:
    """What would land, or go since it landed, and a look with what is left and unreachable; nothing is written."""
    look = Look()
    known = seen.seen(tenant)
    due: list[Drop] = []
    everything: list[Drop] = []
    for inbox in inboxes(tenant):
        listed = _listed(inbox.store, now, look)
        everything += listed
        due += waiting(listed, frozenset(known))
        due += [drop for drop, _ in done(listed, known) if inbox.after != "keep"]
    look.left.update(left(everything))
    return due, look


def land_drops(tenant: Tenant, clock: Clock, told: Callable[[Drop], None] = lambda drop: None) -> Look:
    """Land every object that is there and has not landed.

    Args:
        tenant: whose inboxes.
        clock: gives the instant an object is received.
        told: called before each object, for progress.

    Raises:
        UsageError: the configuration of the inboxes is wrong.
    """
    look = Look()
    with seen.alone(tenant):
        join(tenant)
        everything: list[Drop] = []
        known = seen.seen(tenant)
        for inbox in inboxes(tenant):
            found = _listed(inbox.store, clock(), look)
            everything.extend(found)
            for drop, batch_id in done(found, known):
                _clear(inbox, drop, batch_id, look)
            for drop in waiting(found, frozenset(known)):
                told(drop)
                receipt = _land(tenant, inbox.store, drop, clock, look)
                if receipt is not None:
                    _clear(inbox, drop, receipt.batch_id, look)
        look.left.update(left(everything))
        if not look.unreachable:
            seen.forget_others(tenant, [drop.identity for drop in everything])
    return look


def _listed(store: ObjectStore, now: datetime, look: Look) -> list[Drop]:
    try:
        return drops(store, now)
    except Exception as error:
        look.unreachable.append((store.url, _reason(error)))
        return []


def _reason(error: Exception) -> str:
    """One line; of foreign errors only the kind, since their texts may quote requests with their credentials."""
    if isinstance(error, MurmurError):
        return shown_name(str(error))
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _land(tenant: Tenant, store: ObjectStore, drop: Drop, clock: Clock, look: Look) -> Receipt | None:
    try:
        with _fetched(tenant, store, drop) as payload:
            if not _is_same(store, drop):
                raise MurmurError("changed while it was read; the next look reads it again")
            receipt = ingest_payload(tenant, drop.entity, payload, source="drop", received_at=clock())
    except Exception as error:
        look.failed.append((drop, _reason(error)))
        return None
    look.receipts.append(receipt)
    seen.remember(tenant, drop.identity, receipt.batch_id)
    return receipt


def _clear(inbox: Inbox, drop: Drop, batch_id: str, look: Look) -> None:
    """Move or delete an object that landed; one that was written anew since stays, for the next look to land."""
    if inbox.after == "keep":
        return
    store, key = inbox.store, drop.found.key
    try:
        if inbox.after == "move" and _is_same(store, drop):
            store.copy(key, landed_key(drop, batch_id))
        if _is_same(store, drop):
            store.delete(key)
    except Exception as error:
        verb = "moved" if inbox.after == "move" else "deleted"
        look.failed.append((drop, f"landed, but cannot be {verb}: {_reason(error)}"))


def _is_same(store: ObjectStore, drop: Drop) -> bool:
    return list(store.look(drop.found.key))[:1] == [drop.found]


@contextmanager
def _fetched(tenant: Tenant, store: ObjectStore, drop: Drop) -> Iterator[Payload]:
    """The object as a payload: the file itself, or a copy that has no name and so outlives no killed run."""
    if isinstance(store, LocalStore):
        yield payload_of_file(store.root / drop.found.key)
        return
    folder: Path = tenant.state / "inbox"
    with tempfile.TemporaryFile(dir=folder) as copy:
        for chunk in store.chunks(drop.found.key):
            copy.write(chunk)
        copy.flush()
        if os.fstat(copy.fileno()).st_size != drop.found.size:
            raise MurmurError("changed while it was read; the next look reads it again")
        yield payload_of_handle(copy.fileno(), drop.name)
