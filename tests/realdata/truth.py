"""Where the real data sets lie, the facts that were computed from them, and SQL over their files.

The data stay outside the repository, in ``../shared/data``. How a data set becomes entity files is in its own module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import duckdb
import polars as pl

from pipelines.cli.query import run_query
from pipelines.config import Tenant

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def fact(data_set: str, name: str) -> pl.DataFrame:
    """A fact that lies beside the data: one row per row of its query."""
    found = json.loads((DATA / f"truth_{data_set}.json").read_text())["facts"][name]
    return pl.DataFrame(found["rows"], schema=found["columns"], orient="row", infer_schema_length=None)


def over_source(file: str, sql: str, *views: str, **parameters: object) -> pl.DataFrame:
    """Answer of DuckDB to SQL over the rows of a source file, which the SQL calls ``source``; instants are in UTC.

    ``views`` are statements to run before, in order.
    """
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.from_parquet(str(DATA / file), file_row_number=True).create_view("source")
        for view in views:
            connection.execute(view)
        return connection.sql(sql, params=parameters).pl()


def over_lake(tenant: Tenant, sql: str) -> pl.DataFrame:
    """Answer to SQL over the tables of the lake by name, as ``murmur query`` gives it."""
    names, rows = run_query(tenant, sql)
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def over_exports(tenant: Tenant, dataset: str, sql: str) -> pl.DataFrame:
    """Answer of DuckDB to SQL over a dataset's exported files, found as a reader does and called ``exported``."""
    root = (tenant.bucket_url("s3") or "").removeprefix("file://")
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.from_parquet(f"{root}/v1/{dataset}/date=*/*.parquet", hive_partitioning=True).create_view("exported")
        return connection.sql(sql).pl()


def ids_sha256(ids: Iterable[str]) -> str | None:
    """sha256 of the ids, sorted as numbers, one a line; None without ids, as the facts have it."""
    ordered = sorted(set(ids), key=int)
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest() if ordered else None
