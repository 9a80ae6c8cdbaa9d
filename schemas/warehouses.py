"""SQL that makes an external table over a dataset or file, for Snowflake and BigQuery.

Every column is named and typed from the contract. Parquet is read by name; CSV is read by position in both, which is
why columns are only ever appended.
"""

from __future__ import annotations

from typing import Literal

from schemas.contract import Column, Contract
from schemas.exports import CSV_FILES, DATASETS

Dialect = Literal["snowflake", "bigquery"]

_SNOWFLAKE = {
    "string": "VARCHAR",
    "int64": "NUMBER(19, 0)",
    "quantity": "NUMBER(19, 0)",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP_TZ",
    "ratio": "DOUBLE",
    "json": "VARCHAR",
}
_BIGQUERY = {
    "string": "STRING",
    "int64": "INT64",
    "quantity": "INT64",
    "boolean": "BOOL",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "ratio": "FLOAT64",
    "json": "STRING",
}
#: Names of columns that both warehouses keep for themselves.
_RESERVED = frozenset({"of"})
#: A quantity is a decimal in CSV.
_DECIMAL = {"snowflake": "NUMBER(19, 3)", "bigquery": "NUMERIC"}


def external_table(name: str, dialect: Dialect, location: str, connection: str | None = None) -> str:
    """One statement that makes a table over all days of a dataset or file.

    Args:
        name: a dataset or file.
        dialect: of the warehouse.
        location: for Snowflake a stage, for BigQuery a URL; of the folder that ends in ``/v1``.
        connection: for BigQuery, by which it reads another cloud.
    """
    contract = {**DATASETS, **CSV_FILES}[name]
    root = location.rstrip("/")
    if dialect == "snowflake":
        return _snowflake(contract, root)
    return _bigquery(contract, root, connection)


def column_type(contract: Contract, column: Column, dialect: Dialect) -> str:
    """Type of a column in a warehouse."""
    if column.kind == "quantity" and contract.name in CSV_FILES:
        return _DECIMAL[dialect]
    return (_SNOWFLAKE if dialect == "snowflake" else _BIGQUERY)[column.kind]


def _inside(contract: Contract) -> list[Column]:
    """Columns that are in the files: all but the day of a dataset, which is in the path."""
    return [column for column in contract if contract.name in CSV_FILES or column.name != "date"]


def _snowflake(contract: Contract, stage: str) -> str:
    csv = contract.name in CSV_FILES
    day = "TO_DATE(SPLIT_PART(SPLIT_PART(METADATA$FILENAME, 'date=', 2), '/', 1))"
    lines = [f"  date DATE AS ({day})"]
    for place, column in enumerate(_inside(contract), 1):
        kind = column_type(contract, column, "snowflake")
        reserved = column.name in _RESERVED
        name, key = (f'"{column.name.upper()}"', f'"{column.name}"') if reserved else (column.name, column.name)
        lines.append(f"  {name} {kind} AS (VALUE:{f'c{place}' if csv else key}::{kind})")
    if csv:
        folder, pattern = stage, f".*/date=[0-9-]+/{contract.name}[.]csv"
        form = "TYPE = CSV SKIP_HEADER = 1 FIELD_OPTIONALLY_ENCLOSED_BY = '\"' EMPTY_FIELD_AS_NULL = TRUE"
    else:
        folder, pattern = f"{stage}/{contract.name}", ".*/part-[0-9]+[.]snappy[.]parquet"
        form = "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE"
    return (
        f"CREATE OR REPLACE EXTERNAL TABLE {contract.name} (\n" + ",\n".join(lines) + "\n)\n"
        f"PARTITION BY (date)\nLOCATION = {folder}/\nAUTO_REFRESH = FALSE\n"
        f"PATTERN = '{pattern}'\nFILE_FORMAT = ({form})"
    )


def _bigquery(contract: Contract, root: str, connection: str | None) -> str:
    csv = contract.name in CSV_FILES
    columns = []
    for column in _inside(contract):
        name = f"`{column.name}`" if column.name in _RESERVED else column.name
        columns.append(f"  {name} {column_type(contract, column, 'bigquery')}")
    folder = root if csv else f"{root}/{contract.name}"
    files = f"{folder}/date=*/{contract.name}.csv" if csv else f"{folder}/date=*.parquet"
    options = [f"format = '{'CSV' if csv else 'PARQUET'}'", f"uris = ['{files}']"]
    options.append(f"hive_partition_uri_prefix = '{folder}'")
    if csv:
        # Old files are short of what was appended, new ones have what an old table does not know.
        options += ["skip_leading_rows = 1", "allow_quoted_newlines = TRUE"]
        options += ["allow_jagged_rows = TRUE", "ignore_unknown_values = TRUE"]
    through = f"WITH CONNECTION `{connection}`\n" if connection else ""
    return (
        f"CREATE OR REPLACE EXTERNAL TABLE exports.{contract.name} (\n" + ",\n".join(columns) + "\n)\n"
        f"WITH PARTITION COLUMNS (date DATE)\n{through}OPTIONS (\n  " + ",\n  ".join(options) + "\n)"
    )
