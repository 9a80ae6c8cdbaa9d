"""SQL for warehouses: what is generated and shown parses in its dialect, and the queries find real rows."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import duckdb
import polars as pl
import pytest
import sqlglot
from sqlglot import exp

from schemas.exports import CSV_FILES, DATASETS
from schemas.warehouses import column_type, external_table
from tests.readers import shop
from tests.readers.engines import ROOT, example

DOCS = ROOT / "docs"
CONTRACTS = {**DATASETS, **CSV_FILES}
BLOCK = re.compile(r"^```sql\n-- (Snowflake|BigQuery)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Clauses that the parser does not know; the rest of the statement has to parse without them.
UNKNOWN = re.compile(r"^WITH PARTITION COLUMNS \(date DATE\)\n|^WITH CONNECTION `[\w.-]+`\n", re.MULTILINE)
REFRESH = re.compile(r"ALTER EXTERNAL TABLE (\w+) REFRESH")


def statements() -> list[tuple[str, str, str]]:
    """Page, dialect and statement of everything that the guides show."""
    return [
        (page, dialect.lower(), statement.strip())
        for page in ("warehouses", "reverse-etl")
        for dialect, block in BLOCK.findall((DOCS / f"{page}.md").read_text())
        for statement in block.split(";")
        if statement.strip()
    ]


QUERIES = [each for each in statements() if each[2].startswith("SELECT")]


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery"])
@pytest.mark.parametrize("name", CONTRACTS)
def test_every_table_parses_with_the_columns_of_its_contract(name, dialect):
    location = "@stage/v1" if dialect == "snowflake" else "gs://bucket/v1"
    connection = None if dialect == "snowflake" else "aws-eu-west-1.exports"
    text = external_table(name, dialect, location, connection)
    assert dialect == "snowflake" or len(UNKNOWN.findall(text)) == 2
    made = sqlglot.parse_one(UNKNOWN.sub("", text), read=dialect)
    assert isinstance(made, exp.Create)
    contract = CONTRACTS[name]
    in_files = [column for column in contract if name in CSV_FILES or column.name != "date"]
    found = [(each.name.lower(), each.kind) for each in made.find_all(exp.ColumnDef)]
    assert [each for each, _ in found if each != "date"] == [column.name for column in in_files]
    for column in in_files:
        wanted = exp.DataType.build(column_type(contract, column, dialect), dialect=dialect)
        assert dict(found)[column.name] == wanted


@pytest.mark.parametrize("name", CSV_FILES)
def test_csv_is_read_by_position(name):
    """Snowflake knows no header: the n-th column of the contract is the n-th of the file."""
    text = external_table(name, "snowflake", "@stage/v1")
    taken = re.findall(r'^  "?(\w+)"? .* AS \(VALUE:c(\d+)::', text, re.MULTILINE)
    assert taken == [(column, str(place)) for place, column in enumerate(CONTRACTS[name].names, 1)]


def test_the_guides_show_every_kind_of_statement():
    assert {(page, dialect) for page, dialect, _ in statements()} == {
        ("warehouses", "snowflake"),
        ("warehouses", "bigquery"),
        ("reverse-etl", "snowflake"),
        ("reverse-etl", "bigquery"),
    }
    assert len(QUERIES) == 8


@pytest.mark.parametrize(("page", "dialect", "text"), statements())
def test_statements_parse_in_their_dialect(page, dialect, text):
    refreshed = REFRESH.fullmatch(text)
    if refreshed:
        assert refreshed[1] in CONTRACTS
        return
    parsed = sqlglot.parse_one(text, read=dialect)
    assert not isinstance(parsed, exp.Command)
    named = {table.name for table in parsed.find_all(exp.Table)}
    if isinstance(parsed, exp.Create):
        return
    # A column that no contract has would be a column that no reader finds.
    assert named <= set(CONTRACTS)
    known = {column for table in named & set(CONTRACTS) for column in CONTRACTS[table].names} | {"date"}
    made = {alias.alias for alias in parsed.find_all(exp.Alias)}
    assert {column.name.lower() for column in parsed.find_all(exp.Column)} <= known | made


def test_the_table_that_is_shown_is_the_one_that_is_written():
    [shown] = [text for _, _, text in statements() if "EXTERNAL TABLE cohort_sizes (" in text]
    assert shown == external_table("cohort_sizes", "snowflake", "@murmuration/v1")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """DuckDB with a typed view of every dataset and file, as a warehouse has them."""
    folder = tmp_path_factory.mktemp("tables")
    shop.publish(folder)
    readers = example("duckdb")
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'; CREATE SCHEMA exports")
    for name in shop.published(folder):
        contract = CONTRACTS[name]
        kind = "dataset" if name in DATASETS else "file"
        root = folder / (shop.S3 if name in DATASETS else shop.GCS)
        rows = getattr(readers, kind)(str(root), name).to_arrow_table()
        connection.register(f"read_{name}", rows)
        types = {"int64": "BIGINT", "boolean": "BOOLEAN", "timestamp": "TIMESTAMPTZ", "ratio": "DOUBLE", "date": "DATE"}
        cells = [f'"{each.name}"::{types.get(each.kind, "VARCHAR")} AS "{each.name}"' for each in contract]
        day = [] if "date" in contract else ["date"]
        typed = connection.table(f"read_{name}").select(", ".join([*day, *cells])).to_arrow_table()
        connection.from_arrow(typed).create(f"main.{name}")
        connection.from_arrow(typed).create(f"exports.{name}")
    yield connection
    connection.close()


def answer(tables, query: tuple[str, str, str]) -> list[tuple]:
    _, dialect, text = query
    return tables.execute(sqlglot.transpile(text, read=dialect, write="duckdb")[0]).fetchall()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query[0]}-{query[1]}")
def test_queries_find_rows(query, tables):
    assert answer(tables, query)


def test_the_queries_say_what_is_so(tables):
    found = {}
    for query in QUERIES:
        found.setdefault(query[:2], []).append(answer(tables, query))
    snowflake, bigquery = found["warehouses", "snowflake"], found["warehouses", "bigquery"]
    assert snowflake[0] == bigquery[0] == [("lapsed_shopper", 1)]
    assert [(row[0], *row[2:]) for row in snowflake[1]] == [("c1", 3, 1, 10.0, "GBP"), ("c2", 1, 1, 5.0, "GBP")]
    assert bigquery[1] == [("c1", "email", 1)]
    everybody, audience, changed = found["reverse-etl", "snowflake"]
    assert found["reverse-etl", "bigquery"] == [everybody]
    assert [row[:3] for row in everybody] == [("key-u1", "lapsed_shopper", "u1")]
    assert [row[0] for row in audience] == [row[0] for row in changed] == ["key-u1"]


def test_who_left_is_deleted_softly_and_leaves_the_audience(tables):
    """The models over three more days: one enters, stays and leaves; who left has one row, the last."""
    today = tables.sql("FROM main.cohort_membership").pl()
    days = [
        today.with_columns(
            pl.lit(date(2026, 3, day)).alias("date"),
            pl.lit("key-u9").alias("membership_key"),
            pl.lit("u9").alias("external_id"),
            pl.lit(stays).alias("is_member"),
            pl.lit(datetime(2026, 3, day, 9, tzinfo=UTC)).cast(today.schema["updated_at"]).alias("updated_at"),
        )
        for day, stays in ((11, True), (12, True), (13, False))
    ]
    tables.register("later", pl.concat([today, *days]).to_arrow())
    everybody, audience, changed = (
        answer(tables, (page, dialect, text.replace("FROM cohort_membership", "FROM later")))
        for page, dialect, text in QUERIES
        if (page, dialect) == ("reverse-etl", "snowflake")
    )
    assert [(row[0], row[4]) for row in everybody] == [("key-u1", True), ("key-u9", False)]
    assert audience == []
    assert [(row[0], row[3]) for row in changed] == [("key-u1", True), ("key-u9", False)]
