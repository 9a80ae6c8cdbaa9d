"""Partitions larger than memory: pieces give the bytes of the whole, parts hold each row once, changes add up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.exports.changes import write_changes
from pipelines.exports.parquet import write_partition
from pipelines.exports.publish import publish, success_mark
from pipelines.exports.revision import Place, Revision, newest_revision
from pipelines.exports.verify import partition_problems
from pipelines.storage.conform import ContractError
from pipelines.storage.hashing import logical_sha256
from pipelines.storage.objects import LocalStore
from schemas.exports import file_contract
from tests.exports import retailer as r

NAME = "cohort_transitions"
PLACE = Place(NAME, r.DAY, NAME)
CONTRACT = file_contract(NAME)


def moves(number: int, cause: str = "order") -> pl.DataFrame:
    """Rows of the dataset in the order of its key."""
    names = pl.format("v{}", pl.col("n").cast(pl.String).str.zfill(6))
    frame = pl.DataFrame({"n": range(number)}).select(
        pl.lit("c").alias("cohort_id"),
        pl.lit("1").alias("definition_version"),
        names.alias("subject"),
        pl.lit(r.at(10)).cast(pl.Datetime("us", "UTC")).alias("effective_at"),
        pl.lit("entered").alias("direction"),
        pl.format("t{}", "n").alias("transition_id"),
        pl.lit("visitor").alias("subject_type"),
        pl.lit(cause).alias("caused_by"),
    )
    lacking = [pl.lit(None, dtype=c.dtype).alias(c.name) for c in CONTRACT if c.name not in frame.columns]
    return frame.with_columns(lacking).select(CONTRACT.names)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of a hundred rows, and changes compared by shares of as many."""
    for name in ("pipelines.storage.hashing.SLICE", "pipelines.exports.stream.ROW_GROUP"):
        monkeypatch.setattr(name, 100)
    monkeypatch.setattr("pipelines.exports.changes.PIECE", 100)


def cut(frame: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    return (frame.slice(start, size) for start in range(0, frame.height, size))


@pytest.mark.usefixtures("small")
def test_pieces_give_the_bytes_of_the_whole(tmp_path: Path) -> None:
    rows, found = moves(1003), set()
    for size in (2000, 100, 7, 333):
        folder = tmp_path / str(size)
        folder.mkdir()
        content = write_partition(NAME, "shop", r.DAY, cut(rows, size), folder)
        [file] = content.files
        found.add((file.sha256, content.logical_sha256, file.rows, str(file.bounds)))
        assert content.logical_sha256 == logical_sha256(rows)
        assert pl.read_parquet(file.path).equals(rows)
    assert len(found) == 1
    assert pl.read_parquet_metadata(file.path)["murmuration.logical_sha256"] == content.logical_sha256


def test_pieces_out_of_order_are_refused_and_nothing_is_left_open(tmp_path: Path) -> None:
    rows = moves(20)
    with pytest.raises(ContractError, match="overlap"):
        write_partition(NAME, "shop", r.DAY, [rows.tail(10), rows.head(10)], tmp_path)


def written(store: LocalStore, rows: pl.DataFrame, folder: Path) -> Revision:
    day = day_of(r.DAY, r.tenant(folder).zone)
    before = newest_revision(store, PLACE)
    folder.mkdir()
    content = write_partition(NAME, "shop", r.DAY, rows, folder, inputs=[])
    return publish(store, PLACE, day, "Europe/London", before, content)[0]


@pytest.mark.usefixtures("small")
def test_parts_hold_each_row_once_and_a_subject_in_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "store")
    one = written(store, moves(3000), tmp_path / "1")
    assert [entry.name for entry in one.manifest.files] == ["part-00000.snappy.parquet"]

    monkeypatch.setenv("MURMUR_EXPORT_PART_BYTES", str(one.manifest.files[0].bytes // 3))
    many = written(store, moves(3000).with_columns(pl.lit("return").alias("caused_by")), tmp_path / "2")
    names = [entry.name for entry in many.manifest.files]
    assert names == [f"part-{n:05}.snappy.parquet" for n in range(len(names))]
    assert len(names) >= 3
    assert many.manifest.row_count == sum(entry.rows for entry in many.manifest.files) == 3000
    assert all(entry.bytes < one.manifest.files[0].bytes for entry in many.manifest.files)
    assert partition_problems(store, PLACE) == []
    parts = [pl.read_parquet(path) for path in sorted((store.root / PLACE.copy).glob("*.parquet"))]
    assert all(part["subject"].is_sorted() and part.height for part in parts)
    assert pl.concat(parts).sort("subject")["subject"].to_list() == moves(3000)["subject"].to_list()
    assert {k: v for k, v in many.manifest.changes.items() if k != "path"} == {
        "added": 0,
        "changed": 3000,
        "removed": 0,
    }

    monkeypatch.delenv("MURMUR_EXPORT_PART_BYTES")
    fewer = written(store, moves(10), tmp_path / "3")
    assert fewer.manifest.changes["removed"] == 2990
    assert [path.name for path in sorted((store.root / PLACE.copy).glob("*.parquet"))] == names[:1]
    assert partition_problems(store, PLACE) == []


@pytest.mark.usefixtures("small")
def test_changes_are_found_share_by_share(tmp_path: Path) -> None:
    before, after = moves(1000), pl.concat([moves(400), moves(1200, "click").tail(700)])
    numbers = write_changes(tmp_path / "c.parquet", [(NAME, before.lazy(), after.lazy(), CONTRACT.primary_key)])
    rows = pl.read_parquet(tmp_path / "c.parquet")
    assert numbers == {"added": 200, "changed": 500, "removed": 100}
    assert dict(rows.group_by("change").len().iter_rows()) == numbers
    assert rows["subject"].n_unique() == 800
    assert set(rows.filter(pl.col("change") == "removed")["subject"]) == set(moves(500).tail(100)["subject"])


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda rows: rows.reverse(), "not in the order"),
        (lambda rows: pl.concat([rows.head(1), rows]), "repeat one"),
        (lambda rows: rows.with_columns(pl.lit(1).alias("caused_by")), "columns are not"),
        (lambda rows: rows.with_columns(pl.lit("x").alias("caused_by")), "logical hash"),
        (lambda rows: rows.head(5), "has 5 rows, the manifest says 9"),
    ],
)
def test_files_that_are_what_the_manifest_names_and_still_wrong(tmp_path: Path, harm: object, problem: str) -> None:
    store = LocalStore(tmp_path / "store")
    revision = written(store, moves(9), tmp_path / "1")
    path = store.root / revision.manifest.files[0].path
    bad = harm(moves(9))  # type: ignore[operator]
    bad.write_parquet(path)
    forge(store, revision)
    assert any(problem in line for line in partition_problems(store, PLACE)), partition_problems(store, PLACE)
    assert any("in the footer" in line for line in partition_problems(store, PLACE)) or "columns" in problem


def forge(store: LocalStore, revision: Revision) -> None:
    """A manifest that names the bytes which are there."""
    said = json.loads(revision.raw)
    data = store.get(said["files"][0]["path"])
    said["files"][0] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    raw = json.dumps(said).encode()
    store.put(f"{PLACE.copy}/part-00000.snappy.parquet", data)
    store.put(f"{PLACE.copy}/_manifest.json", raw)
    store.put(f"{PLACE.copy}/_SUCCESS", success_mark(raw))
