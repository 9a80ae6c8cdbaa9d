"""Check a published partition as a reader would: marker, manifest, and each file's bytes, rows and columns."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pipelines.errors import UsageError
from pipelines.exports.check_file import file_problems
from pipelines.exports.manifest import FileEntry, Manifest, ManifestError
from pipelines.exports.publish import success_mark
from pipelines.exports.revision import MAJOR, MANIFEST, SUCCESS, Place
from pipelines.storage.objects import ObjectNotFoundError, ObjectStore, fetch, object_sha256, open_store

_PARTITION = re.compile(rf"^(?P<root>.*?)/?{MAJOR}(/(?P<folder>[a-z_]+))?(/date=(?P<day>\d{{4}}-\d{{2}}-\d{{2}}))?/?$")


def verify(url: str) -> tuple[list[str], list[str]]:
    """Check one partition, all days of a dataset, or a whole export.

    Args:
        url: URL or local path of ``<root>/v1``, ``<root>/v1/<dataset>`` or a ``date=`` folder below; for CSV without
        the
            dataset.

    Returns:
        Paths of the partitions that were checked, and what is wrong, one line each.

    Raises:
        UsageError: the URL is not of that form, or nothing is published below it.
    """
    store, places = find_partitions(url)
    problems = [f"{place.copy}: {problem}" for place in places for problem in partition_problems(store, place)]
    return [place.copy for place in places], problems


def find_partitions(url: str) -> tuple[ObjectStore, list[Place]]:
    """The store and the partitions that a URL stands for."""
    base, path = _split(url)
    match = _PARTITION.match(path.rstrip("/"))
    if match is None:
        raise UsageError(f"{url!r} is not below a {MAJOR} folder; use ROOT/{MAJOR}[/DATASET][/date=YYYY-MM-DD]")
    root = quote(match["root"]) if base.startswith("file:") else match["root"]
    store = open_store(f"{base}{root}")
    if match["day"]:
        day, folder = date.fromisoformat(match["day"]), match["folder"] or ""
        return store, [Place(folder, day, folder)]
    prefix = f"{MAJOR}/{match['folder']}/" if match["folder"] else f"{MAJOR}/"
    places = sorted({place for key in store.list(prefix) if (place := _place(key))}, key=lambda place: place.path)
    if not places:
        raise UsageError(f"nothing is published below {url}")
    return store, places


def _split(url: str) -> tuple[str, str]:
    """Scheme with host, and path; a local path is a ``file://`` URL, whose path is percent-encoded."""
    if "://" not in url:
        return "file://", str(Path(url).absolute())
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", unquote(parts.path) if parts.scheme == "file" else parts.path


def _place(key: str) -> Place | None:
    match = re.match(rf"^{MAJOR}/(?:([a-z][a-z_]*)/)?date=(\d{{4}}-\d{{2}}-\d{{2}})/", key)
    return Place(match[1] or "", date.fromisoformat(match[2]), match[1] or "") if match else None


def partition_problems(store: ObjectStore, place: Place) -> list[str]:
    """What a reader of the copy, or of the revision that its manifest names, would stumble over; empty when well."""
    return list(_problems(store, place))


def _problems(store: ObjectStore, place: Place) -> Iterator[str]:
    try:
        raw = store.get(f"{place.copy}/{MANIFEST}")
        manifest = Manifest.decode(raw)
    except ObjectNotFoundError:
        yield f"{MANIFEST} is not there"
        return
    except ManifestError as error:
        yield str(error)
        return
    try:
        if store.get(f"{place.copy}/{SUCCESS}") != success_mark(raw):
            yield f"{SUCCESS} was written for another manifest: a revision is being published, or was interrupted"
    except ObjectNotFoundError:
        yield f"{SUCCESS} is not there"
    if manifest.date != place.day.isoformat():
        yield f"the manifest is of {manifest.date}"
    if sum(entry.rows for entry in manifest.files) != manifest.row_count:
        yield "row_count is not the sum of the files' rows"
    for entry in manifest.files:
        yield from _file_problems(store, place, manifest, entry)
    yield from _other_objects(store, place, manifest)


def _file_problems(store: ObjectStore, place: Place, manifest: Manifest, entry: FileEntry) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / entry.name
        try:
            sha256 = fetch(store, f"{place.copy}/{entry.name}", path)
        except ObjectNotFoundError:
            yield f"{entry.name} is not there"
            return
        if object_sha256(store, entry.path) != entry.sha256:
            yield f"{entry.path} is not the object that the manifest names"
        if path.stat().st_size != entry.bytes or sha256 != entry.sha256:
            # Damaged Parquet can bring the reader down, so bytes that are not ours are not opened.
            yield f"{entry.name}: sha256 or size differs from the manifest"
            return
        for problem in file_problems(path, manifest, entry):
            yield f"{entry.name}: {problem}"


def _other_objects(store: ObjectStore, place: Place, manifest: Manifest) -> Iterator[str]:
    named = {MANIFEST, SUCCESS, *(entry.name for entry in manifest.files)}
    for key in store.list(f"{place.copy}/"):
        if key.rpartition("/")[2] not in named:
            yield f"{key.rpartition('/')[2]} is not named by the manifest"
