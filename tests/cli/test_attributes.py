"""Attributes in ``murmur query``: read by key, and as typed columns where the tenant names them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.query import run_query
from pipelines.config import Tenant, TenantConfig, load_yaml
from pipelines.entities.steps import publish_dimensions
from pipelines.errors import UsageError
from tests.landing.support import customer, event, land, tenant

KINDS = {
    "tier": "string",
    "visits": "int64",
    "score": "number",
    "Is VIP": "boolean",
    "joined": "date",
    "seen": "timestamp",
}
GOOD = {
    "tier": "gold",
    "visits": 12,
    "score": 2.5,
    "Is VIP": True,
    "joined": "2026-01-02",
    "seen": "2026-01-02T03:04:05+01:00",
}
OTHER = {"tier": 7, "visits": 2.5, "score": "nan", "Is VIP": 1, "joined": "soon", "seen": "soon"}


def promoting(where: Tenant, **attributes: Any) -> Tenant:
    config = TenantConfig.model_validate({"id": "demo", "timezone": "Europe/London", "attributes": attributes})
    return replace(where, config=config)


@pytest.fixture
def landed(tmp_path: Path) -> Tenant:
    where = tenant(tmp_path)
    land(where, "customers", [customer(attributes=GOOD), customer(external_id="c-2", attributes=OTHER)])
    land(where, "customers", [customer(external_id="c-3")])
    publish_dimensions(where, ["customers"])
    return where


def test_a_key_is_read_from_the_text(landed: Tenant) -> None:
    _, rows = run_query(landed, "select external_id from customers where attributes->>'tier' = 'gold'")
    assert rows == [["c-1"]]


@pytest.mark.parametrize("table", ["customers", "customers_history"])
def test_named_keys_are_typed_columns_at_the_right_end(landed: Tenant, table: str) -> None:
    names, rows = run_query(promoting(landed, customers=KINDS), f"from {table} order by external_id")
    assert names[-6:] == list(KINDS)
    good, other, none = (row[-6:] for row in rows)
    assert good == ["gold", 12, 2.5, True, date(2026, 1, 2), datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)]
    assert other == ["7", None, None, None, None, None]
    assert none == [None] * 6


def test_histories_in_landing_and_tables_without_rows_have_them_too(tmp_path: Path) -> None:
    where = promoting(tenant(tmp_path), customer_events={"colour": "string"}, products={"size": "int64"})
    land(where, "customer_events", [event(attributes={"colour": "red"})])
    assert run_query(where, "select is_deleted, colour from customer_events_history") == (
        ["is_deleted", "colour"],
        [[False, "red"]],
    )
    assert run_query(where, "select size from products") == (["size"], [])


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ("{person: {a: string}}", "there is no entity 'person'"),
        ("{customers: {Status: string}}", "'Status' is a column already"),
        ("{customers: {a: string, A: string}}", "'A' is a column already"),
        ("{customers: {'a\"b': string}}", "cannot name a column"),
        ("{customers: {a: text}}", "attributes.customers.a: Input should be 'string', 'int64'"),
    ],
)
def test_a_wrong_declaration_is_refused(attributes: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "tenant.yaml"
    file.write_text(f"id: demo\ntimezone: Europe/London\nattributes: {attributes}\n")
    with pytest.raises(UsageError, match=why):
        load_yaml(file, TenantConfig)
