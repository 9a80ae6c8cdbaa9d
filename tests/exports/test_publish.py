"""Publication: all or nothing at every point of death, once for equal data, never an older result over a newer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.errors import ConflictError
from pipelines.exports.parquet import write_partition
from pipelines.exports.publish import publish
from pipelines.exports.revision import Place, Revision, newest_revision, revision_numbers
from pipelines.exports.verify import partition_problems
from pipelines.storage.objects import LocalStore
from schemas.exports import file_contract

DAY = day_of(date(2026, 3, 29), ZoneInfo("Europe/London"))
PLACE = Place("cohort_sizes", DAY.date, "cohort_sizes")
COPY = f"{PLACE.copy}/part-00000.snappy.parquet"


class Killed(BaseException):
    """The process dies here."""


class DyingStore(LocalStore):
    """Dies instead of the n-th change, or in the middle of it."""

    def __init__(self, root: Path, dies_at: int, after: bool = False) -> None:
        super().__init__(root)
        self.left = dies_at
        self.after = after

    def _step(self, change: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        done = change()
        if self.left == 0:
            raise Killed
        return done

    def put(self, key: str, data: bytes | Path) -> None:
        self._step(lambda: LocalStore.put(self, key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return bool(self._step(lambda: LocalStore.put_if_absent(self, key, data)))


def sizes(*counts: int, definition: str = "1") -> pl.DataFrame:
    rows = [(f"c{n}", definition, size, 0, 0) for n, size in enumerate(counts)]
    return pl.DataFrame(rows, schema=file_contract("cohort_sizes").schema, orient="row")


def write(
    store: LocalStore, scratch: Path, frame: pl.DataFrame, before: Revision | str | None = "newest", **about: Any
) -> tuple[Revision, bool]:
    pinned = newest_revision(store, PLACE) if isinstance(before, str) else before
    content = write_partition("cohort_sizes", "shop", DAY.date, frame, scratch, **about)
    return publish(store, PLACE, DAY, "Europe/London", pinned, content)


def seen(store: LocalStore) -> tuple[list[int] | None, list[int]]:
    """Sizes that a reader of manifests finds, and those that one who globs finds."""
    newest = newest_revision(store, PLACE)
    by_manifest = None
    if newest:
        by_manifest = pl.read_parquet(store.root / newest.manifest.files[0].path)["size"].to_list()
    copies = sorted(store.root.glob("v1/cohort_sizes/date=*/*.parquet"))
    return by_manifest, [size for path in copies for size in pl.read_parquet(path)["size"].to_list()]


def changes(store: LocalStore, revision: Revision) -> list[tuple[str, str]]:
    path = revision.manifest.changes["path"]
    return pl.read_parquet(store.root / path).select("cohort_id", "change").rows()  # type: ignore[return-value]


def test_a_revision_says_everything(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    inputs = [{"asset": "cohort_sizes", "partition": "2026-03-29", "version": "abc"}]
    revision, made = write(store, tmp_path, sizes(3, 1), unresolved={"x.y": 2}, completeness=0.5, inputs=inputs)
    manifest = json.loads(store.get(f"{PLACE.copy}/_manifest.json"))
    [file] = manifest.pop("files")
    assert made
    assert manifest == {
        "dataset": "cohort_sizes",
        "date": "2026-03-29",
        "revision": 1,
        "supersedes": None,
        "reason": "initial",
        "schema": revision.manifest.schema,
        "timezone": "Europe/London",
        "window_start": "2026-03-29T00:00:00Z",
        "window_end": "2026-03-29T23:00:00Z",
        "as_of": "2026-03-29T23:00:00Z",
        "row_count": 2,
        "logical_sha256": revision.manifest.logical_sha256,
        "unresolved": {"x.y": 2},
        "completeness": 0.5,
        "inputs": inputs,
        "changes": {"path": None, "added": 0, "changed": 0, "removed": 0},
    }
    assert (file["rows"], file["min_key"], file["max_key"]) == (2, ["c0", "1"], ["c1", "1"])
    assert store.get(file["path"]) == store.get(COPY)
    assert partition_problems(store, PLACE) == []


def test_the_footer_describes_the_file_and_not_the_revision(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    revision, _ = write(store, tmp_path, sizes(3))
    write(store, tmp_path, sizes(4))
    again, _ = write(store, tmp_path, sizes(3))
    footer = pl.read_parquet_metadata(tmp_path / "store" / COPY)
    assert {name: text for name, text in footer.items() if name.startswith("murmuration.")} == {
        "murmuration.dataset": "cohort_sizes",
        "murmuration.schema_version": "1.0",
        "murmuration.tenant": "shop",
        "murmuration.date": "2026-03-29",
        "murmuration.logical_sha256": revision.manifest.logical_sha256,
    }
    assert again.number == 3
    assert again.manifest.files[0].sha256 == revision.manifest.files[0].sha256


def test_equal_data_is_published_once(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    write(store, tmp_path, sizes(3, 1))
    objects = {key: (store.root / key).stat().st_mtime_ns for key in store.list()}
    revision, made = write(store, tmp_path, sizes(3, 1).reverse())
    assert (revision.number, made) == (1, False)
    assert {key: (store.root / key).stat().st_mtime_ns for key in store.list()} == objects


def test_late_data_makes_a_revision_with_its_changes(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    write(store, tmp_path, sizes(1, 2, 3))
    revision, made = write(store, tmp_path, sizes(1, 5).vstack(sizes(0, 0, 0, 9).tail(1)))
    assert (made, revision.number, revision.manifest.supersedes, revision.manifest.reason) == (True, 2, 1, "late_data")
    assert changes(store, revision) == [("c1", "changed"), ("c2", "removed"), ("c3", "added")]
    assert {k: v for k, v in revision.manifest.changes.items() if k != "path"} == {
        "added": 1,
        "changed": 1,
        "removed": 1,
    }
    assert seen(store) == ([1, 5, 9], [1, 5, 9])
    first = json.loads(store.get(f"{PLACE.truth(1)}/_manifest.json"))
    assert pl.read_parquet(store.root / first["files"][0]["path"])["size"].to_list() == [1, 2, 3]


def test_a_new_definition_is_the_reason(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    old = [{"asset": "definition:c0", "partition": None, "version": "1"}]
    new = [{"asset": "definition:c0", "partition": None, "version": "2"}]
    write(store, tmp_path, sizes(1), inputs=old)
    revision, _ = write(store, tmp_path, sizes(1, definition="2"), inputs=new)
    assert revision.manifest.reason == "definition"


def test_an_empty_day_is_a_file(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    revision, made = write(store, tmp_path, sizes())
    assert made
    assert (revision.manifest.row_count, revision.manifest.files[0].min_key) == (0, None)
    assert pl.read_parquet(store.root / COPY).schema == sizes().schema
    assert partition_problems(store, PLACE) == []


def deaths(first: Sequence[int] | None) -> list[tuple[int, bool]]:
    """Every change of a publication, before and after it: data, (changes), manifest, copy, its manifest, marker."""
    changes_made = 5 if first is None else 6
    return [(n, after) for n in range(1, changes_made + 1) for after in (False, True)]


@pytest.mark.parametrize(("dies_at", "after"), deaths([1]))
def test_killed_anywhere_the_revision_before_or_the_new_one_is_whole(tmp_path: Path, dies_at: int, after: bool) -> None:
    store = LocalStore(tmp_path / "store")
    write(store, tmp_path, sizes(1, 2))
    with pytest.raises(Killed):
        write(DyingStore(store.root, dies_at, after), tmp_path, sizes(7))  # type: ignore[arg-type]
    by_manifest, by_glob = seen(store)
    assert by_manifest in ([1, 2], [7])
    assert by_glob in ([1, 2], [7])
    named = json.loads(store.get(f"{PLACE.copy}/_manifest.json"))["files"][0]
    assert pl.read_parquet(store.root / named["path"])["size"].to_list() in ([1, 2], [7])

    write(store, tmp_path, sizes(7))
    assert seen(store) == ([7], [7])
    assert revision_numbers(store, PLACE) == [1, 2]
    assert partition_problems(store, PLACE) == []


@pytest.mark.parametrize(("dies_at", "after"), deaths(None))
def test_killed_in_the_first_publication_nothing_is_marked_as_whole(tmp_path: Path, dies_at: int, after: bool) -> None:
    store = LocalStore(tmp_path / "store")
    with pytest.raises(Killed):
        write(DyingStore(store.root, dies_at, after), tmp_path, sizes(7))
    finished = store.exists(f"{PLACE.copy}/_SUCCESS")
    assert finished == ((dies_at, after) == (5, True))

    # What arrives before the next run is in it, whatever the killed one left behind.
    write(store, tmp_path, sizes(8))
    assert seen(store) == ([8], [8])
    assert partition_problems(store, PLACE) == []


def test_a_copy_that_a_slow_writer_left_is_put_right(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    write(store, tmp_path, sizes(1))
    old = {key: store.get(key) for key in store.list(f"{PLACE.copy}/")}
    write(store, tmp_path, sizes(2))
    for key, data in old.items():
        store.put(key, data)
    assert seen(store) == ([2], [1])
    _, made = write(store, tmp_path, sizes(2))
    assert not made
    assert seen(store) == ([2], [2])


def test_a_run_that_read_older_inputs_does_not_win(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    write(store, tmp_path, sizes(1))
    pinned = newest_revision(store, PLACE)
    write(store, tmp_path, sizes(3))
    with pytest.raises(ConflictError, match="revision 2"):
        write(store, tmp_path, sizes(2), before=pinned)
    assert seen(store) == ([3], [3])
    assert partition_problems(store, PLACE) == []


def test_verification_says_what_is_wrong(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    write(store, tmp_path, sizes(1))
    whole = store.get(COPY)
    damaged = whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]

    store.put(COPY, damaged)
    assert partition_problems(store, PLACE) == ["part-00000.snappy.parquet: sha256 or size differs from the manifest"]
    store.put(COPY, whole)
    store.put(f"{PLACE.copy}/part-00001.snappy.parquet", whole)
    assert partition_problems(store, PLACE) == ["part-00001.snappy.parquet is not named by the manifest"]
    store.delete(f"{PLACE.copy}/part-00001.snappy.parquet")
    store.delete(f"{PLACE.copy}/_SUCCESS")
    assert partition_problems(store, PLACE) == ["_SUCCESS is not there"]
    store.put(f"{PLACE.copy}/_manifest.json", b"{}")
    assert "the manifest cannot be read" in partition_problems(store, PLACE)[0]
