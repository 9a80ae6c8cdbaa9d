"""Where revisions of a partition lie, and which one is the newest.

The truth of revision n is ``v1/_revisions/<place>/r000n/``: data objects in a folder named by their content, so that
writers who race never touch each other's, and a ``_manifest.json`` whose creation is the commit. ``v1/<place>/`` is
the copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from pipelines.exports.manifest import Manifest
from pipelines.storage.objects import ObjectStore

MAJOR = "v1"
MANIFEST = "_manifest.json"
SUCCESS = "_SUCCESS"
REVISIONS = f"{MAJOR}/_revisions/"
_COMMITTED = re.compile(rf"^{MAJOR}/_revisions/(?P<place>.+)/r(?P<number>\d+)/{MANIFEST}$")


@dataclass(frozen=True)
class Revision:
    """A committed revision."""

    number: int
    manifest: Manifest
    raw: bytes


@dataclass(frozen=True)
class Place:
    """One partition of a dataset in a store.

    Attributes:
        dataset: name in the manifest.
        day: the partition.
        folder: folder of the dataset below the major version; empty when days lie directly below it.
    """

    dataset: str
    day: date
    folder: str

    @property
    def path(self) -> str:
        """``<folder>/date=D``."""
        day = f"date={self.day.isoformat()}"
        return f"{self.folder}/{day}" if self.folder else day

    @property
    def copy(self) -> str:
        """Folder that readers glob."""
        return f"{MAJOR}/{self.path}"

    def truth(self, number: int) -> str:
        """Folder of a revision."""
        return f"{REVISIONS}{self.path}/r{number:04d}"


def revision_numbers(store: ObjectStore, place: Place) -> list[int]:
    """Numbers of the committed revisions, in order."""
    matches = (_COMMITTED.match(key) for key in store.list(f"{REVISIONS}{place.path}/r"))
    return sorted(int(match["number"]) for match in matches if match and match["place"] == place.path)


def newest_revision(store: ObjectStore, place: Place) -> Revision | None:
    """The revision that readers should see; None before the first."""
    numbers = revision_numbers(store, place)
    if not numbers:
        return None
    raw = store.get(f"{place.truth(numbers[-1])}/{MANIFEST}")
    return Revision(numbers[-1], Manifest.decode(raw), raw)


def newest_revisions(store: ObjectStore) -> list[Manifest]:
    """Newest manifest of every partition in a store, by dataset and day."""
    newest: dict[str, int] = {}
    for key in store.list(REVISIONS):
        if match := _COMMITTED.match(key):
            newest[match["place"]] = max(int(match["number"]), newest.get(match["place"], 0))
    manifests = [
        Manifest.decode(store.get(f"{REVISIONS}{place}/r{number:04d}/{MANIFEST}")) for place, number in newest.items()
    ]
    return sorted(manifests, key=lambda manifest: (manifest.dataset, manifest.date))
