"""Extracts are made once, follow their sources, and are not taken from under a reader."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime

import polars as pl

from pipelines.entities.erase import erase
from pipelines.landing import extracts
from tests.conftest import make_workspace
from tests.landing.support import customer, land

SCHEMA = pl.Schema({"n": pl.Int64()})


def names(folder):
    return sorted(path.name for path in folder.glob("*.parquet"))


def doubled(folder, sources):
    frames = {name: pl.LazyFrame({"n": values}, schema=SCHEMA) for name, values in sources.items()}
    made = []

    def make(rows):
        made.append(rows)
        return rows.select(pl.col("n") * 2)

    found = extracts.kept(folder, frames, make, SCHEMA).collect()["n"].sort().to_list()
    # Once more for the shape of the result.
    return found, len(made) - 1


def test_an_extract_is_made_once_and_goes_with_its_source(tmp_path):
    assert doubled(tmp_path, {"a1": [1], "b1": [2]}) == ([2, 4], 2)
    assert doubled(tmp_path, {"a1": [1], "b2": [3]}) == ([2, 6], 1)
    assert names(tmp_path) == ["a1.parquet", "b2.parquet"]
    assert doubled(tmp_path, {}) == ([], 0)


def test_nothing_is_removed_while_another_process_reads(tmp_path):
    doubled(tmp_path, {"a1": [1]})
    with extracts._held(tmp_path, fcntl.LOCK_SH):
        assert doubled(tmp_path, {"a2": [5]}) == ([10], 1)
        assert names(tmp_path) == ["a1.parquet", "a2.parquet"]
    doubled(tmp_path, {"a2": [5]})
    assert names(tmp_path) == ["a2.parquet"]


def test_all_of_a_tenant_can_be_dropped(tmp_path):
    tenant = make_workspace(tmp_path).tenant("acme")
    folder = tenant.state / "extracts" / "customer_events"
    doubled(folder / "days", {"a1": [1]})
    (folder / "moved-1.parquet").touch()
    (folder / "moved.json").touch()
    extracts.drop(tenant)
    assert not [path for path in folder.rglob("*") if path.suffix in (".parquet", ".json")]
    assert doubled(folder / "days", {"a1": [1]}) == ([2], 1)


def test_erasing_a_person_drops_what_may_name_them(tmp_path):
    tenant = make_workspace(tmp_path).tenant("acme")
    land(tenant, "customers", [customer(external_id="c-1")])
    extracted = tenant.state / "extracts" / "customer_events" / "completed" / "a.parquet"
    extracted.parent.mkdir(parents=True)
    extracted.touch()
    erase(tenant, "c-1", now=datetime(2026, 3, 1, tzinfo=UTC), by="tester")
    assert not extracted.exists()
