"""Google Cloud Storage with everything that goes wrong: nothing is lost, nothing half done, nobody overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import ConflictError
from pipelines.storage.objects import StoreError, object_sha256, open_store
from pipelines.storage.objects.gcs import CHUNK, GcsStore
from tests.storage.strict_gcs import StrictGcs, strict_gcs


@pytest.fixture
def gcs() -> Iterator[StrictGcs]:
    with strict_gcs() as server:
        yield server


@pytest.fixture
def store(gcs: StrictGcs) -> GcsStore:
    opened = open_store("gs://bucket/root")
    assert isinstance(opened, GcsStore)
    return opened


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.csv"
    file.write_bytes(os.urandom(2 * CHUNK + 12_345))
    return file


def upload(method: str, path: str, size: int) -> bool:
    return method == "POST" and "uploadType" in path


def second_piece(method: str, path: str, size: int) -> bool:
    return method == "PUT" and path.startswith(f"bytes {CHUNK}-")


def last_piece(method: str, path: str, size: int) -> bool:
    return method == "PUT" and path.startswith(f"bytes {2 * CHUNK}-")


def download(method: str, path: str, size: int) -> bool:
    return method == "GET" and "alt=media" in path


def test_uploads_say_which_generation_they_replace_and_their_crc32c(store: GcsStore, gcs: StrictGcs) -> None:
    store.put("a", b"1")
    store.put("a", b"2")
    assert store.put_if_absent("b", b"3")
    assert not store.put_if_absent("b", b"4")
    store.copy("b", "a")
    assert (store.get("a"), store.get("b")) == (b"3", b"3")
    asked = [line for line in gcs.requests if "uploadType" in line or "rewriteTo" in line]
    assert len(asked) == 5
    assert all("ifGenerationMatch=" in line for line in asked)


def test_large_files_go_up_in_a_session(store: GcsStore, gcs: StrictGcs, large: Path) -> None:
    store.put("large.csv", large)
    pieces = [line for line in gcs.requests if line.startswith("PUT")]
    total = large.stat().st_size
    assert pieces == [
        f"PUT bytes 0-{CHUNK - 1}/{total}",
        f"PUT bytes {CHUNK}-{2 * CHUNK - 1}/{total}",
        f"PUT bytes {2 * CHUNK}-{total - 1}/{total}",
    ]
    assert object_sha256(store, "large.csv") == object_sha256(open_store(large.parent.as_uri()), "large.csv")
    assert gcs.objects["root/large.csv"].content_type == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("503", upload),
        ("503", second_piece),
        ("half", second_piece),
        ("half", last_piece),
        ("lost", last_piece),
        ("503", last_piece),
    ],
)
def test_a_session_that_is_disturbed_ends_whole(
    store: GcsStore, gcs: StrictGcs, large: Path, kind: str, when: object
) -> None:
    store.put("large.csv", b"before")
    gcs.fails(kind, when)  # type: ignore[arg-type]
    store.put("large.csv", large)
    assert not gcs.faults
    assert gcs.objects["root/large.csv"].data == large.read_bytes()


@pytest.mark.parametrize("kind", ["503", "lost"])
def test_a_lost_answer_is_known_as_ones_own(store: GcsStore, gcs: StrictGcs, kind: str) -> None:
    gcs.fails(kind, upload, times=2)
    assert store.put_if_absent("m", b"mine")
    store.put("n", b"mine too")
    assert (store.get("m"), store.get("n")) == (b"mine", b"mine too")
    assert not store.put_if_absent("m", b"not mine")


def test_what_somebody_else_wrote_meanwhile_stays(
    store: GcsStore, gcs: StrictGcs, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddle(method: str, path: str, size: int) -> bool:
        if method == "PUT" and not gcs.objects.get("root/large.csv"):
            code, _ = gcs.store("root/large.csv", b"theirs", {"ifGenerationMatch": ["0"]}, {"crc32c": "wNLVyw=="})
            if code != 200:
                from tests.storage.strict_gcs import Stored

                gcs.objects["root/large.csv"] = Stored(b"theirs", 5000, "text/csv")
        return False

    gcs.fails("503", meddle)
    with pytest.raises(ConflictError, match="somebody else"):
        store.put("large.csv", large)
    assert gcs.objects["root/large.csv"].data == b"theirs"


@pytest.mark.parametrize("kind", ["cut", "flipped"])
def test_a_damaged_download_is_seen(store: GcsStore, gcs: StrictGcs, kind: str) -> None:
    store.put("a", b"x" * 100_000)
    gcs.fails(kind, download)
    try:
        assert store.get("a") == b"x" * 100_000
    except StoreError as error:
        assert "crc32c" in str(error)
    assert not gcs.faults
    assert store.get("a") == b"x" * 100_000


def test_an_upload_that_always_fails_says_so(store: GcsStore, gcs: StrictGcs, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.storage.objects import gcs as module

    monkeypatch.setattr(module, "RETRY", module.RETRY.with_timeout(0.3))
    gcs.fails("503", upload, times=100)
    with pytest.raises(StoreError, match="gs://bucket/root/a"):
        store.put("a", b"1")
    assert not gcs.objects
