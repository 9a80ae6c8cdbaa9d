"""Exports on servers that speak S3 and GCS, read back by each reader: Parquet where it lies, CSV after a download.

DuckDB is given s3fs instead of its own extension, which it would have to fetch; Spark would need jars of Hadoop for S3
and reads the same files from disk in ``test_spark``.
"""

from __future__ import annotations

import os

import duckdb
import pytest
import s3fs

from pipelines.config import BucketTarget
from pipelines.exports.steps import campaign_files, parquet_exports
from pipelines.storage.objects import open_store
from schemas.exports import CSV_FILES, DATASETS
from tests.exports import retailer
from tests.readers.engines import HERE, read_here, read_there
from tests.storage.servers import BUCKET, gcs_emulator, s3_server

S3 = f"s3://{BUCKET}/exports/v1"
#: Datasets of which the retailer has rows.
FILLED = ("cohort_membership", "cohort_membership_history", "cohort_sizes", "events", "signal_snapshots")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ALLOW_HTTP", "true")
        shop = retailer.tenant(
            tmp_path_factory.mktemp("s3"), s3=BucketTarget(bucket=BUCKET, prefix="exports", url=f"s3://{BUCKET}")
        )
        retailer.fill(shop)
        parquet_exports(shop, retailer.DAYS, lambda: retailer.at(11))
        duckdb.register_filesystem(s3fs.S3FileSystem(client_kwargs={"endpoint_url": endpoint}))
        yield
        duckdb.unregister_filesystem("s3")


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory):
    """The files of a bucket of GCS, below a folder as they lie there."""
    folder = tmp_path_factory.mktemp("gcs")
    with gcs_emulator():
        shop = retailer.tenant(folder / "home", gcs=BucketTarget(bucket=BUCKET, prefix="daily", url=f"gs://{BUCKET}"))
        retailer.fill(shop)
        campaign_files(shop, retailer.DAYS, lambda: retailer.at(11))
        store = open_store(f"gs://{BUCKET}/daily")
        for key in store.list("v1/date="):
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(store.get(key))
    return folder / "v1"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("name", FILLED)
def test_parquet_is_read_where_it_lies(name, program):
    environment = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
    program.run(f"import os; os.environ.update({environment!r})")
    asked = DATASETS[name].names
    found = [read_here(engine, "dataset", S3, name, asked) for engine in HERE]
    found.append(read_there(program, "pandas", "dataset", S3, name, asked))
    assert found[0]
    assert all(rows == found[0] for rows in found)


@pytest.mark.parametrize("name", CSV_FILES)
def test_csv_is_read_after_a_download(name, downloaded, program):
    asked = ["date", *CSV_FILES[name].names]
    found = [read_here(engine, "file", downloaded, name, asked) for engine in HERE]
    found.append(read_there(program, "pandas", "file", downloaded, name, asked))
    assert found[0]
    assert {row["date"] for row in found[0]} == {f"day {day}" for day in retailer.DAYS}
    assert all(rows == found[0] for rows in found)
