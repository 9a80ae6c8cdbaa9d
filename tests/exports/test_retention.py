"""Old revisions go after their time, manifests first; the newest stays whatever its age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.exports.retention import expired, prune
from pipelines.exports.revision import newest_revision, revision_numbers
from pipelines.exports.verify import partition_problems
from pipelines.storage.objects import Found, LocalStore
from tests.exports.test_publish import PLACE, sizes, write

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def found(name: str, days_ago: int) -> Found:
    return Found(f"v1/_revisions/d/date=2026-01-01/{name}", 1, "", NOW - timedelta(days=days_ago))


def test_a_revision_expires_by_when_it_was_superseded() -> None:
    objects = [
        found("r0001/aa/part.parquet", 200),
        found("r0001/_manifest.json", 200),
        found("r0002/bb/part.parquet", 100),
        found("r0002/bb/changes.parquet", 100),
        found("r0002/_manifest.json", 100),
        found("r0003/left-by-a-killed-run/part.parquet", 90),
        found("r0003/cc/part.parquet", 10),
        found("r0003/_manifest.json", 10),
        found("r0004/being-made/part.parquet", 0),
    ]
    assert [key[len("v1/_revisions/d/date=2026-01-01/") :] for key in expired(objects, NOW - timedelta(days=30))] == [
        "r0001/_manifest.json",
        "r0001/aa/part.parquet",
    ]
    gone = expired(objects, NOW - timedelta(days=5))
    assert [key.rpartition("/r")[2] for key in gone][2:] == [
        "0002/_manifest.json",
        "0002/bb/changes.parquet",
        "0002/bb/part.parquet",
    ]


def test_readers_notice_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    for size in (1, 2, 3):
        write(store, tmp_path, sizes(size))
    later = datetime.now(UTC) + timedelta(days=91)
    assert prune(store, later, 92) == []
    assert len(prune(store, later, 90)) == 5
    assert revision_numbers(store, PLACE) == [3]
    assert partition_problems(store, PLACE) == []
    write(store, tmp_path, sizes(4))
    newest = newest_revision(store, PLACE)
    assert newest is not None
    assert (newest.number, newest.manifest.supersedes) == (4, 3)
