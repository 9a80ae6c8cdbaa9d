"""Both export steps over the lake: what readers find, what a second run changes, and what the ledger says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest

from pipelines.calendar import day_of
from pipelines.config import BucketTarget, Tenant
from pipelines.errors import UsageError
from pipelines.exports.revision import newest_revisions
from pipelines.exports.steps import CHECKS, STEPS, campaign_files, ledger_exports, parquet_exports
from pipelines.exports.target import export_store, promised_at
from pipelines.exports.verify import find_partitions, verify
from schemas.exports import DATASETS, FREE_TEXT, LEDGERS, file_contract
from schemas.tables import OPEN_SPANS
from tests.exports import retailer as r
from tests.storage.servers import BUCKET, gcs_emulator, s3_server
from tests.storage.strict_aws import ROLE

NOW = datetime(2026, 3, 11, 3, 0, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Tenant:
    shop = r.tenant(tmp_path)
    r.fill(shop)
    return shop


def root(shop: Tenant, kind: str = "s3") -> Path:
    return shop.home / "buckets" / kind / {"s3": "lake/m", "gcs": "files/d"}[kind] / "v1"


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_reader_finds_the_rows_of_the_lake(shop: Tenant) -> None:
    parquet_exports(shop, r.DAYS, lambda: NOW)
    for name, contract in ((name, contract) for name, contract in DATASETS.items() if name not in LEDGERS):
        glob = f"{root(shop)}/{name}/date=*/*.parquet"
        lake = shop.lake.read("customer_events" if name == "events" else name)
        expected = lake.rename({"external_id": "event_id"}) if name == "events" else lake
        expected = expected.select(contract.names).sort(contract.primary_key)

        by_polars = pl.read_parquet(glob, hive_partitioning=True, try_parse_hive_dates=True)
        assert by_polars.select(contract.names).sort(contract.primary_key).equals(expected), name
        with duckdb.connect() as connection:
            connection.execute("SET timezone = 'UTC'")
            by_duckdb = connection.sql(f"SELECT * FROM read_parquet('{glob}', hive_partitioning = true)").pl()  # noqa: S608
        assert by_duckdb.select(contract.names).sort(contract.primary_key).equals(expected), name
        arrow = ds.dataset(f"{root(shop)}/{name}", partitioning="hive", exclude_invalid_files=False)
        by_arrow = pl.from_arrow(arrow.to_table())
        assert isinstance(by_arrow, pl.DataFrame)
        by_arrow = by_arrow.with_columns(pl.col("date").cast(pl.String).str.to_date())
        assert by_arrow.select(contract.names).sort(contract.primary_key).equals(expected), name


def test_events_carry_nothing_that_people_type(shop: Tenant) -> None:
    parquet_exports(shop, r.DAYS, lambda: NOW)
    found = pl.read_parquet(f"{root(shop)}/events/date=*/*.parquet", hive_partitioning=True)
    assert not set(FREE_TEXT) & set(found.columns)
    assert all(b"ann@example.com" not in path.read_bytes() for path in shop.home.glob("buckets/**/*") if path.is_file())


def test_an_equal_run_changes_nothing_and_a_rebuild_gives_the_same_bytes(shop: Tenant, tmp_path: Path) -> None:
    parquet_exports(shop, r.DAYS, lambda: NOW)
    campaign_files(shop, r.DAYS, lambda: NOW)
    before = digests(shop.home / "buckets")
    later = datetime(2026, 4, 1, tzinfo=UTC)
    for commit in (parquet_exports(shop, r.DAYS, lambda: later) | campaign_files(shop, r.DAYS, lambda: later)).values():
        spans = (OPEN_SPANS,) if commit.table == "s3_cohort_membership_history" else ()
        assert (commit.changed, commit.equal) == ((), (*r.DAYS, *spans))
    assert digests(shop.home / "buckets") == before
    assert shop.lake.read("export_slo")["published_at"].unique().to_list() == [NOW]

    twin = r.tenant(tmp_path / "twin")
    r.fill(twin)
    for day in r.DAYS:
        parquet_exports(twin, [day], lambda: later)
        campaign_files(twin, [day], lambda: later)
    assert digests(twin.home / "buckets") == before


def test_late_data_restates_the_day_it_changes(shop: Tenant) -> None:
    parquet_exports(shop, r.DAYS, lambda: NOW)
    campaign_files(shop, r.DAYS, lambda: NOW)
    r.put(shop, "cohort_membership", r.member("u1", is_member=False), r.member("u2"))
    r.put(shop, "customers", {"external_id": "u1"})
    late = r.version("c", "c3", r.at(10), name="Late", type="gift", channel="post", created_at=r.at(10))
    with shop.lake.writer("campaigns_history") as writer:
        writer.put(None, pl.concat([shop.lake.read("campaigns_history"), r.table("campaigns_history", late)]))

    commits = parquet_exports(shop, r.DAYS, lambda: NOW) | campaign_files(shop, r.DAYS, lambda: NOW)
    assert {name for name, commit in commits.items() if commit.changed} >= {"s3_cohort_membership", "gcs_campaigns"}
    assert commits["s3_cohort_membership"].changed == (r.DAY,)
    assert commits["s3_cohort_membership"].version == 2
    assert commits["gcs_campaigns"].changed == (r.DAY,)

    store = export_store(shop, "s3")
    assert store is not None
    [manifest] = [m for m in newest_revisions(store) if m.dataset == "cohort_membership" and m.revision == 2]
    assert {k: v for k, v in manifest.changes.items() if k != "path"} == {"added": 1, "changed": 1, "removed": 0}
    files = export_store(shop, "gcs")
    assert files is not None
    restated = next(m for m in newest_revisions(files) if m.revision == 2)
    listed = pl.read_parquet(files.get(restated.changes["path"]))
    assert listed.filter(pl.col("file") == "campaigns.csv").select("change", "campaign_id").rows() == [("added", "c3")]
    ledger = shop.lake.read("export_slo").filter(pl.col("revision") == 2)
    assert set(ledger["reason"]) == {"late_data"}


def test_the_ledger_has_promise_and_fact(shop: Tenant) -> None:
    campaign_files(shop, r.DAYS, lambda: NOW)
    [row] = shop.lake.read("export_slo", [r.DAY]).to_dicts()
    assert row["promised_at"] == datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
    assert (row["published_at"], row["dataset"], row["rows"]) == (NOW, "campaign_files", 12)
    assert json.loads(row["missing"]) == {"campaign_skus.product_id": 1, "clicks.link_id": 1}


def test_a_killed_run_is_recorded_by_the_next(shop: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipelines.exports.steps.record_published", _die)
        campaign_files(shop, [r.DAY], lambda: NOW)
    assert not shop.lake.exists("export_slo")
    campaign_files(shop, [r.DAY], lambda: NOW)
    assert shop.lake.read("export_slo")["revision"].to_list() == [1]


def test_open_spans_are_a_partition_of_their_own(shop: Tenant) -> None:
    parquet_exports(shop, [r.DAY], lambda: NOW)
    store = export_store(shop, "s3")
    assert store is not None
    [manifest] = [each for each in newest_revisions(store) if each.date == OPEN_SPANS.isoformat()]
    assert (manifest.dataset, manifest.row_count) == ("cohort_membership_history", 1)
    assert (manifest.window_start, manifest.as_of) == ("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z")
    [row] = shop.lake.read("export_slo", [OPEN_SPANS]).to_dicts()
    assert row["promised_at"] == datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
    [check] = [each for each in CHECKS if each.table == "s3_cohort_membership_history"]
    assert check.run(shop, [r.DAY]).passed
    (root(shop) / "cohort_membership_history" / f"date={OPEN_SPANS}" / "_SUCCESS").unlink()
    assert not check.run(shop, [r.DAY]).passed


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_promises_follow_the_clocks(tmp_path: Path) -> None:
    shop = r.tenant(tmp_path)
    assert promised_at(shop, day_of(date(2026, 3, 28), shop.zone)) == datetime(2026, 3, 29, 3, tzinfo=UTC)
    assert promised_at(shop, day_of(date(2026, 10, 24), shop.zone)) == datetime(2026, 10, 25, 4, tzinfo=UTC)


def test_a_tenant_without_buckets_publishes_nothing(tmp_path: Path) -> None:
    shop = r.tenant(tmp_path, s3=None)
    r.fill(shop)
    commits = parquet_exports(shop, r.DAYS, lambda: NOW) | campaign_files(shop, r.DAYS, lambda: NOW)
    commits |= ledger_exports(shop, r.DAYS, lambda: NOW)
    assert all((commit.version, commit.rows) == (0, {}) for commit in commits.values())
    assert not (shop.home / "buckets").exists()
    assert {output for step in STEPS for output in step.outputs} == set(commits)


def test_checks_read_what_was_published(shop: Tenant) -> None:
    parquet_exports(shop, r.DAYS, lambda: NOW)
    campaign_files(shop, r.DAYS, lambda: NOW)
    ledger_exports(shop, r.DAYS, lambda: NOW)
    assert all(check.run(shop, r.DAYS).passed for check in CHECKS)
    (root(shop, "gcs") / f"date={r.DAY}" / "campaigns.csv").write_text("campaign_id\n")
    [failed] = [check for check in CHECKS if not check.run(shop, r.DAYS).passed]
    assert failed.table == "gcs_campaigns"


def test_an_external_id_that_is_not_set_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_EXTERNAL_ID", raising=False)
    shop = r.tenant(
        tmp_path, s3=BucketTarget(bucket="b", url="s3://b", role_arn=ROLE, external_id_env="SHOP_EXTERNAL_ID")
    )
    with pytest.raises(UsageError, match="SHOP_EXTERNAL_ID, which is not set"):
        parquet_exports(shop, r.DAYS, lambda: NOW)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Tenant]:
    with s3_server(), gcs_emulator():
        targets = {
            "s3": BucketTarget(bucket=BUCKET, prefix="m", url=f"s3://{BUCKET}"),
            "gcs": BucketTarget(bucket=BUCKET, prefix="d", url=f"gs://{BUCKET}"),
        }
        yield r.tenant(tmp_path / "remote", **targets)


def test_s3_and_gcs_hold_the_bytes_of_the_local_folders(shop: Tenant, remote: Tenant) -> None:
    r.fill(remote)
    for tenant in (shop, remote):
        parquet_exports(tenant, [r.DAY], lambda: NOW)
        campaign_files(tenant, [r.DAY], lambda: NOW)
    for kind, url in (("s3", f"s3://{BUCKET}/m/v1"), ("gcs", f"gs://{BUCKET}/d/v1")):
        checked, problems = verify(url)
        assert (problems, len(checked)) == ([], {"s3": len(DATASETS) - len(LEDGERS) + 1, "gcs": 1}[kind])
        store, _ = find_partitions(url)
        found = {key.removeprefix("v1/"): hashlib.sha256(store.get(key)).hexdigest() for key in store.list("v1/")}
        assert found == digests(root(shop, kind))


def test_files_have_the_columns_of_their_contract(shop: Tenant) -> None:
    parquet_exports(shop, r.DAYS, lambda: NOW)
    ledger_exports(shop, r.DAYS, lambda: NOW)
    for name in (name for name in DATASETS if name != "identity_links"):
        path = next(root(shop).glob(f"{name}/date={r.DAY}/*.parquet"))
        assert pl.read_parquet_schema(path) == file_contract(name).schema
