"""Old revisions are kept for a set time after they were superseded; the newest of a partition for ever."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from pipelines.exports.revision import MAJOR, MANIFEST, REVISIONS
from pipelines.storage.objects import Found, ObjectStore

_OBJECT = re.compile(rf"^{MAJOR}/_revisions/(?P<place>.+)/r(?P<number>\d+)/(?P<rest>.+)$")


def expired(found: Sequence[Found], before: datetime) -> list[str]:
    """Objects below ``_revisions`` that nobody needs any more, in the order in which they may go.

    Args:
        found: every object there.
        before: revisions that were superseded earlier expire; so does what killed runs left earlier.

    Returns:
        Keys, a revision's manifest before its data, so that no manifest ever names what is gone.
    """
    committed: dict[str, dict[int, datetime]] = {}
    objects: dict[tuple[str, int], list[Found]] = {}
    for each in found:
        if match := _OBJECT.match(each.key):
            place, number = match["place"], int(match["number"])
            objects.setdefault((place, number), []).append(each)
            if match["rest"] == MANIFEST:
                committed.setdefault(place, {})[number] = each.modified
    keys: list[str] = []
    for (place, number), held in sorted(objects.items()):
        later = [at for other, at in committed.get(place, {}).items() if other > number]
        # Without a later revision it is the newest, or one that is being made.
        if later and min(later) < before:
            keys += sorted((each.key for each in held), key=lambda key: (not key.endswith(f"/{MANIFEST}"), key))
    return keys


def prune(store: ObjectStore, now: datetime, keep_days: int) -> list[str]:
    """Remove the revisions that were superseded longer than ``keep_days`` ago.

    Returns:
        Keys of the objects that are gone.
    """
    keys = expired(store.look(REVISIONS), now - timedelta(days=keep_days))
    for key in keys:
        store.delete(key)
    return keys
