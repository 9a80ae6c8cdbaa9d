"""The lake's tables under their names in DuckDB, for one SELECT that reads and does nothing else.

A table becomes a view over the files of its newest version. ``<entity>_history`` of a dated entity, whose versions
are kept in landing, is a view over its committed batches, without the columns that depend on arrival.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.config import Tenant
from pipelines.errors import UsageError
from schemas.contract import Column, Contract
from schemas.entities import ENTITIES
from schemas.registry import LAKE

DATED_HISTORY = {f"{name}_history": name for name, entity in ENTITIES.items() if entity.partitioned}
_SQL_TYPES = {
    "string": "VARCHAR",
    "json": "VARCHAR",
    "int64": "BIGINT",
    "quantity": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "ratio": "DOUBLE",
}
#: How an attribute is read as a type; casts alone would round 2.5 and take 1 for true.
_ATTRIBUTES = {
    "string": "{0}",
    "int64": "CASE WHEN regexp_full_match({0}, '-?[0-9]+') THEN TRY_CAST({0} AS BIGINT) END",
    "number": "CASE WHEN isfinite(TRY_CAST({0} AS DOUBLE)) THEN TRY_CAST({0} AS DOUBLE) END",
    "boolean": "CASE {0} WHEN 'true' THEN true WHEN 'false' THEN false END",
    "date": "TRY_CAST({0} AS DATE)",
    "timestamp": "TRY_CAST({0} AS TIMESTAMPTZ)",
}
_READING = ("SELECT", "EXPLAIN")


@contextmanager
def selected(tenant: Tenant, sql: str) -> Iterator[duckdb.DuckDBPyRelation]:
    """The result of one SELECT over the tenant's tables, read while the block lasts; times are UTC.

    Raises:
        UsageError: the SQL is wrong, is several statements, or would change something; the message begins with why.
    """
    with duckdb.connect(":memory:") as connection:
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type.name not in _READING:
                raise UsageError("give one SELECT; this command only reads")
            _prepare(connection, tenant, sql)
            yield connection.sql(sql)
        except duckdb.Error as error:
            raise UsageError(f"{_first_line(error)}{_hint(error)}") from None


def _prepare(connection: duckdb.DuckDBPyConnection, tenant: Tenant, sql: str) -> None:
    for setting in ("autoinstall_known_extensions = false", "autoload_known_extensions = false", "timezone = 'UTC'"):
        connection.execute(f"SET {setting}")
    words = set(re.findall(r"[a-z_0-9]+", sql.lower()))
    # Binding a view opens its files, so only tables that the text mentions are made.
    for name in sorted(words & (LAKE.keys() | DATED_HISTORY.keys())):
        connection.execute(_view(tenant, name))
    roots = ", ".join(_quoted(f"{root}/") for root in (tenant.lake.root, tenant.landing))
    connection.execute(f"SET allowed_directories = [{roots}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _view(tenant: Tenant, name: str) -> str:
    if name in DATED_HISTORY:
        return _history_view(tenant, name)
    contract = LAKE[name]
    paths = [str(tenant.lake.root / name / file) for file in tenant.lake.files(name).values()]
    if not paths:
        return _empty_view(contract, tenant)
    partitions = (
        "hive_partitioning = true, hive_types = {'date': DATE}" if contract.partitioned else "union_by_name = true"
    )
    columns = ", ".join([*(f'"{column}"' for column in contract.names), *_promoted(tenant, name)])
    return f'CREATE VIEW "{name}" AS SELECT {columns} FROM read_parquet([{_list(paths)}], {partitions})'  # noqa: S608


def _history_view(tenant: Tenant, name: str) -> str:
    entity = ENTITIES[DATED_HISTORY[name]]
    receipts = sorted((tenant.landing / entity.name).glob("*.json"))
    paths = [str(path) for receipt in receipts if (path := receipt.with_suffix(".parquet")).is_file()]
    if not paths:
        return _empty_view(entity.history_contract, tenant)
    columns = ", ".join(f'"{column.name}"' for column in entity.stored)
    # Versions follow each other by instant, then by kind: delete over patch over upsert.
    rank = "CASE op WHEN 'delete' THEN 2 WHEN 'patch' THEN 1 ELSE 0 END"
    following = f"lead(order_at) OVER (PARTITION BY external_id ORDER BY order_at, {rank})"
    ends = ["op = 'delete' AS is_deleted", *_promoted(tenant, name)]
    # A file has only the columns that its rows fill.
    declared = ", ".join([*_nulls(entity.stored), "NULL::VARCHAR AS patch_fields"])
    return (
        f'CREATE VIEW "{name}" AS SELECT date, {columns}, op, patch_fields, order_at AS effective_from, '  # noqa: S608
        f"{following} AS effective_to, {', '.join(ends)} "
        f"FROM (SELECT {declared} WHERE false UNION ALL BY NAME "
        f"SELECT * FROM read_parquet([{_list(paths)}], union_by_name = true))"
    )


def _empty_view(contract: Contract, tenant: Tenant) -> str:
    selected = ", ".join([*_nulls(contract), *_promoted(tenant, contract.name)])
    return f'CREATE VIEW "{contract.name}" AS SELECT {selected} WHERE false'


def _nulls(columns: Iterable[Column]) -> list[str]:
    return [f'NULL::{_SQL_TYPES[column.kind]} AS "{column.name}"' for column in columns]


def _promoted(tenant: Tenant, view: str) -> list[str]:
    """The attributes that the tenant wants as columns of an entity's table or history; null where of another type."""
    keys = tenant.config.attributes.get(view.removesuffix("_history"), {})
    return [f'{_ATTRIBUTES[kind].format(_json_path(key))} AS "{key}"' for key, kind in keys.items()]


def _json_path(key: str) -> str:
    return f"""json_extract_string(attributes, '$."{key}"')"""


def _list(paths: list[str]) -> str:
    return ", ".join(_quoted(path) for path in paths)


def _quoted(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _first_line(error: duckdb.Error) -> str:
    return " ".join(str(error).strip().split("\n\n")[0].split())


def _hint(error: duckdb.Error) -> str:
    return f"; tables: {', '.join(sorted(LAKE))}" if isinstance(error, duckdb.CatalogException) else ""
