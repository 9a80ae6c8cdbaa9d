"""Which objects of an inbox may land now, and why the others do not. Reads listings only; landing is in ``inbox``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pipelines.config import InboxSource, Tenant
from pipelines.errors import UsageError
from pipelines.landing.free_text import kept_name
from pipelines.landing.received import received_folder
from pipelines.landing.source import format_of
from pipelines.storage.objects import Found, LocalStore, ObjectStore, open_store
from schemas.entities import ENTITIES

After = Literal["keep", "move", "delete"]
Standing = Literal["new", "settling", "unfinished", "empty", "unknown_entity", "unknown_format", "link"]

#: A file that was written to so recently may still be being written; buckets show whole objects only.
SETTLES_AFTER = timedelta(seconds=2)
_TEMPORARY = re.compile(
    r"(^[.~])|(~$)|\.(tmp|temp|part|partial|filepart|crdownload|download|swp|_copying_)$", re.IGNORECASE
)
#: Where an inbox keeps what landed; no drop.
LANDED = "_landed/"
#: ``customers.ndjson`` and ``customers.0001.ndjson`` name their entity as well as a folder does.
_NAMED = re.compile(r"^([a-z_]+)\.")


@dataclass(frozen=True)
class Drop:
    """An object of an inbox.

    Attributes:
        root: URL of the inbox.
        found: what its listing says.
        standing: whether it may land.
        entity: what its place says its records are; empty where that is no entity.
    """

    root: str
    found: Found
    standing: Standing
    entity: str

    @property
    def identity(self) -> tuple[str, str, int, str]:
        """What changes when the object is another one."""
        return self.root, kept_name(self.found.key), self.found.size, self.found.version

    @property
    def name(self) -> str:
        """File name."""
        return self.found.key.rpartition("/")[2]


@dataclass(frozen=True)
class Inbox:
    """A place where files are dropped, and what becomes of those that landed."""

    store: ObjectStore
    after: After


def inboxes(tenant: Tenant) -> list[Inbox]:
    """The tenant's inboxes, the folder ``inbox/<tenant>`` under home where none is configured, and what was posted.

    Raises:
        UsageError: a URL is none, or a variable that the configuration names is not set.
    """
    sources = tenant.config.inbox or (InboxSource(url=tenant.inbox.absolute().as_uri()),)
    found = []
    for source in sources:
        external_id = os.environ.get(source.external_id_env) if source.external_id_env else None
        if source.external_id_env and not external_id:
            raise UsageError(f"tenant {tenant.id}: inbox names {source.external_id_env}, which is not set")
        store = open_store(source.url, role_arn=source.role_arn, external_id=external_id)
        found.append(Inbox(store, source.after))
    if (posted := received_folder(tenant)).is_dir():
        found.append(Inbox(LocalStore(posted), "delete"))
    return found


def drops(store: ObjectStore, now: datetime) -> list[Drop]:
    """Every object of an inbox but those that landed and were moved away, sorted by key."""
    local = store.url.startswith("file:")
    return [_drop(store.url, found, local, now) for found in store.look() if not found.key.startswith(LANDED)]


def _drop(root: str, found: Found, local: bool, now: datetime) -> Drop:
    entity = entity_of(found.key) or ""
    return Drop(root, found, _standing(found, entity, local, now), entity)


def _standing(found: Found, entity: str, local: bool, now: datetime) -> Standing:
    if any(_TEMPORARY.search(part) for part in found.key.split("/")):
        return "unfinished"
    if not found.size:
        return "empty"
    if not entity:
        return "unknown_entity"
    try:
        format_of(found.key)
    except UsageError:
        return "unknown_format"
    if found.is_link:
        # Whoever may write to the inbox must not choose what else of this machine is read.
        return "link"
    return "settling" if local and found.modified > now - SETTLES_AFTER else "new"


def files_of(folder: Path) -> tuple[list[tuple[str, Path]], dict[str, list[Drop]]]:
    """Entity and path of each file of somebody's own folder, sorted, and what is left of it by standing.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such directory")
    listed = drops(LocalStore(folder), datetime.max.replace(tzinfo=UTC))
    taken = [drop for drop in listed if drop.standing in ("new", "link")]
    return [(drop.entity, folder / drop.found.key) for drop in taken], left(
        drop for drop in listed if drop not in taken
    )


def left(listed: Iterable[Drop]) -> dict[str, list[Drop]]:
    """The drops that may not land, by standing."""
    found: dict[str, list[Drop]] = {}
    for drop in listed:
        if drop.standing != "new":
            found.setdefault(drop.standing, []).append(drop)
    return found


def entity_of(key: str) -> str | None:
    """The entity that a key names by its first folder or, without folders, by the beginning of its name."""
    folder, _, rest = key.partition("/")
    if rest:
        return folder if folder in ENTITIES else None
    named = _NAMED.match(key)
    return named[1] if named and named[1] in ENTITIES else None


def waiting(listed: Sequence[Drop], seen: frozenset[tuple[str, str, int, str]]) -> list[Drop]:
    """The drops that may land and have not."""
    return [drop for drop in listed if drop.standing == "new" and drop.identity not in seen]


def landed_key(drop: Drop, batch_id: str) -> str:
    """Where an object that landed is moved; a name that is used again for other bytes has a place of its own."""
    folder, _, rest = drop.found.key.partition("/")
    path = rest if rest and folder == drop.entity else drop.found.key
    above, slash, name = path.rpartition("/")
    return f"{LANDED}{drop.entity}/{above}{slash}{batch_id[:12]}-{name}"


def done(listed: Sequence[Drop], seen: Mapping[tuple[str, str, int, str], str]) -> list[tuple[Drop, str]]:
    """The drops that have landed and are still there, and their batch ids."""
    return [(drop, seen[drop.identity]) for drop in listed if drop.standing == "new" and drop.identity in seen]
