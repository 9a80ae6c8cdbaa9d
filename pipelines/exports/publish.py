"""Publish one partition: an immutable revision first, its manifest being the commit, then the copy for readers.

Whatever is killed in between, the revision before or the new one is whole, and doing it again finishes the work. What
was published is decided by the logical hash of the rows: equal data is published once.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.calendar import Day
from pipelines.errors import ConflictError
from pipelines.exports.changes import write_changes
from pipelines.exports.manifest import FileEntry, Manifest, Reason, rfc3339
from pipelines.exports.revision import MANIFEST, SUCCESS, Place, Revision, newest_revision, revision_numbers
from pipelines.storage.objects import ObjectNotFoundError, ObjectStore, fetch

#: Rounds in which the copy is brought up to a revision that was published meanwhile.
ROUNDS = 3


@dataclass(frozen=True)
class DataFile:
    """A finished file on the local disk.

    Attributes:
        name: file name in the partition's folder.
        path: where it is now.
        rows: rows without a header.
        sha256: of its bytes.
        key: columns that identify a row.
        bounds: keys of the first and last row as text.
        group: what it is called in the change list, together with other parts of the same rows.
    """

    name: str
    path: Path
    rows: int
    sha256: str
    key: tuple[str, ...]
    bounds: tuple[list[str | None], list[str | None]] | None
    group: str


@dataclass(frozen=True)
class Content:
    """What a partition should hold.

    Attributes:
        files: data files, in the order of the manifest.
        logical_sha256: hash of the rows, whatever the bytes.
        schema: name, version and sha256 of the contract.
        read: rows of the files of a group, for the change list.
        unresolved: number of references that resolve to nothing, by reference.
        completeness: share of references or records that resolve.
        inputs: asset, partition and version of everything that was read.
    """

    files: Sequence[DataFile]
    logical_sha256: str
    schema: dict[str, str]
    read: Callable[[Sequence[Path]], pl.LazyFrame]
    unresolved: dict[str, int] = field(default_factory=dict)
    completeness: float = 1.0
    inputs: list[dict[str, str | None]] = field(default_factory=list)


def publish(
    store: ObjectStore,
    place: Place,
    day: Day,
    timezone: str,
    before: Revision | None,
    content: Content,
    reason: Reason | None = None,
) -> tuple[Revision, bool]:
    """Publish a partition where its rows differ from the revision before, and bring its copy up to the newest revision.

    Args:
        store: the export root.
        place: the partition in it.
        day: its bounds.
        timezone: IANA zone of the day.
        before: the newest revision, read **before** the inputs were, so that an older result cannot win.
        content: what it should hold now.
        reason: why, when a person asked for it; otherwise it is found out.

    Returns:
        The newest revision, and whether this call made it.

    Raises:
        ConflictError: another run published in between; reading the inputs again is the way out.
    """
    made = before is None or before.manifest.logical_sha256 != content.logical_sha256
    if made:
        _commit(store, place, _describe(store, place, day, timezone, before, content, reason), content)
    return _settle(store, place), made


def _describe(
    store: ObjectStore,
    place: Place,
    day: Day,
    timezone: str,
    before: Revision | None,
    content: Content,
    reason: Reason | None,
) -> Manifest:
    number = before.number + 1 if before else 1
    digest = hashlib.sha256("".join(file.sha256 for file in content.files).encode()).hexdigest()[:16]
    folder = f"{place.truth(number)}/{digest}"
    changes = _put_changes(store, folder, before, content) if before else {"added": 0, "changed": 0, "removed": 0}
    return Manifest(
        dataset=place.dataset,
        date=place.day.isoformat(),
        revision=number,
        supersedes=before.number if before else None,
        reason=reason or _reason(before, content),
        schema=content.schema,
        timezone=timezone,
        window_start=rfc3339(day.start),
        window_end=rfc3339(day.end),
        as_of=rfc3339(day.as_of),
        files=[_entry(folder, file) for file in content.files],
        row_count=sum(file.rows for file in content.files),
        logical_sha256=content.logical_sha256,
        unresolved=content.unresolved,
        completeness=content.completeness,
        inputs=content.inputs,
        changes={"path": None, **changes},
    )


def _entry(folder: str, file: DataFile) -> FileEntry:
    first, last = file.bounds or (None, None)
    return FileEntry(f"{folder}/{file.name}", file.path.stat().st_size, file.rows, file.sha256, first, last)


def _reason(before: Revision | None, content: Content) -> Reason:
    if before is None:
        return "initial"
    if before.manifest.schema["sha256"] != content.schema["sha256"]:
        return "schema"
    return "definition" if _definitions(before.manifest.inputs) != _definitions(content.inputs) else "late_data"


def _definitions(inputs: Sequence[dict[str, str | None]]) -> list[tuple[str | None, str | None]]:
    """Definitions among the inputs: those named ``definition:<id>``."""
    pairs = [(entry["asset"], entry["version"]) for entry in inputs]
    return sorted(pair for pair in pairs if (pair[0] or "").startswith("definition:"))


def _put_changes(store: ObjectStore, folder: str, before: Revision, content: Content) -> dict[str, Any]:
    """Store the rows that differ from the revision before, and count them."""
    groups: dict[str, list[DataFile]] = {}
    for file in content.files:
        groups.setdefault(file.group, []).append(file)
    with tempfile.TemporaryDirectory() as scratch:
        compared = []
        for group, files in groups.items():
            old = [_fetched(store, entry, Path(scratch)) for entry in before.manifest.files if _is_of(entry, group)]
            new = content.read([file.path for file in files])
            compared.append((group, content.read(old) if old else new.clear(), new, files[0].key))
        path = Path(scratch) / "changes.parquet"
        numbers = write_changes(path, compared)
        store.put(f"{folder}/changes.parquet", path)
    return {"path": f"{folder}/changes.parquet", **numbers}


def _is_of(entry: FileEntry, group: str) -> bool:
    """CSV files are compared each with its own, Parquet parts all together: rows may move between them."""
    return entry.name == group if group.endswith(".csv") else entry.name.endswith(".parquet")


def _fetched(store: ObjectStore, entry: FileEntry, folder: Path) -> Path:
    path = folder / entry.name
    fetch(store, entry.path, path)
    return path


def _commit(store: ObjectStore, place: Place, manifest: Manifest, content: Content) -> None:
    for entry, file in zip(manifest.files, content.files, strict=True):
        store.put(entry.path, file.path)
        if store.stored_sha256(entry.path) != entry.sha256:
            raise ConflictError(f"{store.url}/{entry.path}: was not stored as it was sent; run it again")
    if not store.put_if_absent(f"{place.truth(manifest.revision)}/{MANIFEST}", manifest.encode()):
        raise ConflictError(
            f"{place.dataset} of {place.day}: somebody else published revision {manifest.revision} while this run "
            "computed; run it again"
        )


def _settle(store: ObjectStore, place: Place) -> Revision:
    """Make the copy equal to the newest revision, also when another writer is busy with an older one."""
    for _ in range(ROUNDS):
        newest = newest_revision(store, place)
        assert newest is not None  # noqa: S101
        if copy_is(store, place, newest):
            return newest
        _copy(store, place, newest)
    newest = newest_revision(store, place)
    if newest is None or not copy_is(store, place, newest):
        raise ConflictError(f"{store.url}/{place.copy}: other writers keep replacing the copy; run it again")
    return newest


def copy_is(store: ObjectStore, place: Place, revision: Revision) -> bool:
    """Whether the folder that readers glob holds exactly this revision, marked as finished."""
    with suppress(ObjectNotFoundError):
        return (
            store.get(f"{place.copy}/{SUCCESS}") == success_mark(revision.raw)
            and store.get(f"{place.copy}/{MANIFEST}") == revision.raw
            and not _not_named(store, place, revision)
            and all(
                store.stored_sha256(f"{place.copy}/{entry.name}") == entry.sha256 for entry in revision.manifest.files
            )
        )
    return False


def success_mark(manifest: bytes) -> bytes:
    """Content of ``_SUCCESS``: which manifest it was written after."""
    return f"{hashlib.sha256(manifest).hexdigest()}\n".encode()


def _copy(store: ObjectStore, place: Place, revision: Revision) -> None:
    """Write the copy, unless a newer revision comes in between: whoever was paused must not go on with an older one."""
    names = [entry.name for entry in revision.manifest.files]
    steps: list[Callable[[], None]] = [
        partial(store.copy, entry.path, f"{place.copy}/{name}")
        for entry, name in zip(revision.manifest.files, names, strict=True)
    ]
    # Parts that the revision before had more of.
    steps += [partial(store.delete, key) for key in _not_named(store, place, revision)]
    steps.append(partial(store.put, f"{place.copy}/{MANIFEST}", revision.raw))
    steps.append(partial(store.put, f"{place.copy}/{SUCCESS}", success_mark(revision.raw)))
    for step in steps:
        if revision_numbers(store, place)[-1] != revision.number:
            return
        step()


def _not_named(store: ObjectStore, place: Place, revision: Revision) -> list[str]:
    named = {f"{place.copy}/{name}" for name in (MANIFEST, SUCCESS, *(file.name for file in revision.manifest.files))}
    return [key for key in store.list(f"{place.copy}/") if key not in named]
