"""The contract of an object store, held by the local folder, S3 and GCS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import UsageError
from pipelines.storage.objects import (
    LocalStore,
    ObjectNotFoundError,
    ObjectStore,
    StoreError,
    object_sha256,
    open_store,
)
from pipelines.storage.objects.s3 import S3Store
from tests.storage.servers import BUCKET, s3_server
from tests.storage.strict_gcs import StrictGcs, strict_gcs


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def gcs() -> Iterator[StrictGcs]:
    with strict_gcs() as server:
        yield server


@pytest.fixture(params=["file", "s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "file":
        return open_store((tmp_path / "a b").as_uri())
    request.getfixturevalue({"s3": "s3", "gs": "gcs"}[request.param])
    return open_store(f"{request.param}://{BUCKET}/root/{uuid.uuid4().hex}")


def test_what_is_put_is_read_back(store: ObjectStore, tmp_path: Path) -> None:
    store.put("a/b.txt", b"one")
    store.put("a/b.txt", b"two")
    file = tmp_path / "large"
    file.write_bytes(b"x" * 3_000_000)
    store.put("a/large", file)
    assert store.get("a/b.txt") == b"two"
    assert b"".join(store.chunks("a/large")) == file.read_bytes()
    assert object_sha256(store, "a/large") != object_sha256(store, "a/b.txt")
    assert store.stored_sha256("a/large") == object_sha256(store, "a/large")
    assert store.stored_sha256("a/none") is None


def test_the_first_to_create_wins_and_a_repeated_answer_is_its_own(store: ObjectStore) -> None:
    assert store.put_if_absent("k/_manifest.json", b"first")
    assert store.put_if_absent("k/_manifest.json", b"first")
    assert not store.put_if_absent("k/_manifest.json", b"second")
    assert store.get("k/_manifest.json") == b"first"


def test_keys_are_listed_by_prefix_in_order(store: ObjectStore) -> None:
    for key in ("v1/b/2", "v1/b/1", "v1/a/1", "v10/a", "v1/b"[:2] + "x"):
        store.put(key, b"")
    assert list(store.list("v1/")) == ["v1/a/1", "v1/b/1", "v1/b/2"]
    assert list(store.list("v1/b/")) == ["v1/b/1", "v1/b/2"]
    assert list(store.list("v1/nothing/")) == []
    assert len(store.list()) == 5


def test_a_look_shows_size_and_a_version_that_every_write_changes(store: ObjectStore) -> None:
    store.put("in/a", b"1")
    store.put("in/b", b"22")
    (a, b) = store.look("in/")
    assert [(found.key, found.size) for found in (a, b)] == [("in/a", 1), ("in/b", 2)]
    assert list(store.look("in/")) == [a, b]
    store.put("in/a", b"3")
    (changed, same) = store.look("in/")
    assert same == b
    assert changed.version != a.version
    assert a.modified.utcoffset() is not None


def test_what_is_not_there(store: ObjectStore) -> None:
    store.put("a/b", b"")
    assert store.exists("a/b")
    assert not store.exists("a")
    assert not store.exists("a/c")
    assert object_sha256(store, "a/c") is None
    with pytest.raises(ObjectNotFoundError, match="a/c"):
        store.get("a/c")
    with pytest.raises(ObjectNotFoundError, match="a/c"):
        list(store.chunks("a/c"))


def test_deleting_twice_is_deleting_once(store: ObjectStore) -> None:
    store.put("a/b", b"")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/./b"])
def test_a_key_cannot_leave_the_root(store: ObjectStore, key: str) -> None:
    with pytest.raises(UsageError, match="object key"):
        store.put(key, b"")


def test_of_many_who_create_one_wins(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.put_if_absent("m", str(n).encode()), range(40)))
    assert won.count(True) == 1
    assert store.get("m") == str(won.index(True)).encode()
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.usefixtures("s3")
def test_a_lost_answer_is_not_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PUT whose answer was lost is sent again, and is refused by its own first one."""
    store = S3Store(BUCKET, uuid.uuid4().hex)
    written = store._client.put_object

    def lost(**request: Any) -> None:
        written(**request)
        written(**request)

    monkeypatch.setattr(store._client, "put_object", lost)
    assert store.put_if_absent("m", b"mine")


@pytest.mark.usefixtures("s3")
def test_a_failure_is_not_taken_for_a_conflict() -> None:
    with pytest.raises(StoreError, match="NoSuchBucket"):
        S3Store("no-such-bucket", "x").put_if_absent("m", b"mine")


@pytest.mark.usefixtures("s3")
def test_large_objects_are_copied_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.storage.objects.s3.COPY_PART", 5 << 20)
    store = S3Store(BUCKET, uuid.uuid4().hex)
    store.put("a", b"x" * (11 << 20))
    store.copy("a", "b")
    assert object_sha256(store, "b") == store.stored_sha256("b") == object_sha256(store, "a")


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://", "/tmp/x", "file://host/x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="object store"):
        open_store(url)


def test_a_copy_has_the_bytes_and_leaves_its_source(store: ObjectStore) -> None:
    store.put("a/one.bin", b"1")
    store.put("b/two.bin", b"old")
    for _ in range(2):
        store.copy("a/one.bin", "b/two.bin")
    assert (store.get("a/one.bin"), store.get("b/two.bin")) == (b"1", b"1")
    with pytest.raises(ObjectNotFoundError):
        store.copy("a/none.bin", "b/three.bin")
    assert store.list() == ["a/one.bin", "b/two.bin"]
