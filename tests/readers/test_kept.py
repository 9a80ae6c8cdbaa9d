"""The files that are kept are what their version promised, whole, and never change."""

from __future__ import annotations

import hashlib
import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from schemas.exports import file_contract
from schemas.versions import Promise, promises, published
from tests.readers.keep import SUMS, kept_path, sums, written
from tests.readers.plain import plain_rows
from tests.readers.versions import columns, parquet_rows

TYPES = {
    "string": (pa.string(), pa.large_string()),
    "json": (pa.string(), pa.large_string()),
    "int64": (pa.int64(),),
    "quantity": (pa.int64(),),
    "boolean": (pa.bool_(),),
    "date": (pa.date32(),),
    "timestamp": (pa.timestamp("us", "UTC"),),
    "ratio": (pa.float64(),),
}
KEPT = [promise for versions in published().values() for promise in versions if promise.form != "event"]
NEWEST = [promise for promise in promises().values() if promise.form != "event"]


def title(promise: Promise) -> str:
    return f"{promise.name} {promise.version}"


def footer(data: bytes) -> dict[str, str]:
    """What we say in a file about it."""
    found = pyarrow.parquet.read_metadata(io.BytesIO(data)).metadata
    return {key.decode(): value.decode() for key, value in found.items() if key.startswith(b"murmuration.")}


@pytest.mark.parametrize("promise", KEPT, ids=title)
def test_every_published_version_has_a_file_that_it_wrote(promise):
    path = kept_path(promise)
    assert path.exists(), "run python -m tests.readers.keep"
    if promise.form == "csv":
        assert path.read_bytes().decode().splitlines()[0].split(",") == promise.names
        return
    schema = pyarrow.parquet.read_schema(path)
    assert schema.names == columns(promise)
    assert all(schema.field(name).type in TYPES[promise.column(name)["kind"]] for name in schema.names)
    assert footer(path.read_bytes())["murmuration.schema_version"] == promise.version
    assert 20 <= pyarrow.parquet.read_metadata(path).num_rows < 100


def test_the_files_are_those_that_were_kept_first():
    found = {
        str(path.relative_to(SUMS.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in SUMS.parent.glob("*/*")
    }
    assert found == sums()


@pytest.mark.parametrize("promise", NEWEST, ids=title)
def test_the_newest_version_is_still_written_so(promise):
    """CSV to the byte; Parquet by type and row, since how it is encoded and hashed may change."""
    now, kept = written(promise), kept_path(promise).read_bytes()
    if promise.form == "csv":
        assert now == kept
        return
    assert plain_rows(parquet_rows(now)) == plain_rows(parquet_rows(kept))
    schemas = [pyarrow.parquet.read_schema(io.BytesIO(data)) for data in (now, kept)]
    pa.unify_schemas([schema.remove_metadata() for schema in schemas], promote_options="permissive")
    hashed = "murmuration.logical_sha256"
    assert {**footer(now), hashed: ""} == {**footer(kept), hashed: ""}


@pytest.mark.parametrize("promise", [each for each in KEPT if each.form == "parquet"], ids=title)
def test_rows_of_every_version_satisfy_the_newest_schema(promise):
    """What was added is nullable, so that Pandera takes old rows with nulls for what they lack."""
    contract = file_contract(promise.name)
    rows = pl.read_parquet(kept_path(promise))
    lacking = [pl.lit(None, column.dtype).alias(column.name) for column in contract if column.name not in rows.columns]
    schema = contract.pandera()
    assert schema.metadata["version"] == contract.version
    checked = schema.validate(rows.with_columns(lacking).select(contract.names))
    assert checked.height == rows.height
