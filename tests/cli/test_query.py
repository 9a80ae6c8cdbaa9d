"""``murmur query`` reads any type that SQL may answer with, and only reads."""

from __future__ import annotations

import json

import pytest

from pipelines.cli.query import run_query
from pipelines.config import Tenant
from pipelines.errors import UsageError


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("interval '90 minutes'", "1:30:00"),
        ("sum(3)", 3),
        ("1.25::decimal(9, 2)", 1.25),
        ("[1.5::decimal(9, 2)]", [1.5]),
        ("uuid '0fd7e0b7-1b1b-4b5e-8f4b-0a4a8f2f4d11'", "0fd7e0b7-1b1b-4b5e-8f4b-0a4a8f2f4d11"),
        ("null", None),
    ],
)
def test_values_are_plain(tenant: Tenant, sql: str, value: object) -> None:
    _, [[answer]] = run_query(tenant, f"SELECT {sql}")
    assert json.loads(json.dumps(answer)) == value


def test_an_instant_is_utc(tenant: Tenant) -> None:
    _, [[answer]] = run_query(tenant, "SELECT timestamptz '2026-01-02 03:04:05+02'")
    assert answer.isoformat() == "2026-01-02T01:04:05+00:00"


@pytest.mark.parametrize("sql", ["DROP TABLE batches", "SELECT 1; SELECT 2", "COPY (SELECT 1) TO 'x.csv'", ""])
def test_only_one_select(tenant: Tenant, sql: str) -> None:
    with pytest.raises(UsageError, match="this command only reads"):
        run_query(tenant, sql)


def test_an_unknown_table_is_answered_with_the_names(tenant: Tenant) -> None:
    with pytest.raises(UsageError, match="tables: batch_partitions, batches, "):
        run_query(tenant, "SELECT * FROM nowhere")


def test_files_of_the_machine_are_out_of_reach(tenant: Tenant) -> None:
    with pytest.raises(UsageError, match="Permission"):
        run_query(tenant, "SELECT * FROM read_text('/etc/hostname')")
