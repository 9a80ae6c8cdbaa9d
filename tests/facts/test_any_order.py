"""Records as senders write them, through landing: any order, batching, duplication and delay give the same tables."""

from __future__ import annotations

import base64
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.config import Tenant
from pipelines.entities.steps import CHECKS as ENTITY_CHECKS
from pipelines.entities.steps import STEPS as ENTITY_STEPS
from pipelines.facts.steps import CHECKS as FACT_CHECKS
from pipelines.facts.steps import STEPS as FACT_STEPS
from pipelines.landing.ingest import ingest_bytes
from pipelines.landing.vault import KEY_BYTES, KEY_VARIABLE
from pipelines.storage.hashing import logical_sha256
from tests.entities.landing_files import make_tenant
from tests.facts.builders import DAYS

LEDGERS = ("batches", "batch_partitions", "quarantine", "unresolved_references")
STEPS = (*ENTITY_STEPS, *FACT_STEPS)
CHECKS = (*ENTITY_CHECKS, *FACT_CHECKS)
PRODUCT = {"name": "Cap", "category_path": "hats", "status": "active", "currency": "GBP"}
SALE = {"type": "sale", "channel": "web", "currency": "GBP", "gross_minor": 900, "net_minor": 900}
AMOUNTS = {"unit_price_minor": 600, "line_gross_minor": 900, "line_net_minor": 900}
LINES = [{"line_no": 1, "product_id": "p1", "quantity": "1.5", **AMOUNTS}]
PERSON = {"email": "ann@example.com", "phone": "+44 7700 900123", "first_name": "Ann", "language": "en"}


def row(entity: str, **values: Any) -> tuple[str, dict[str, Any]]:
    return entity, values


def event(event_id: str, name: str, when: str, **values: Any) -> tuple[str, dict[str, Any]]:
    return row("customer_events", external_id=event_id, event_name=name, occurred_at=f"2026-03-0{when}Z", **values)


def sale(updated: str, status: str = "paid", **values: Any) -> tuple[str, dict[str, Any]]:
    base = {"external_id": "t1", "occurred_at": "2026-03-02T00:00:30Z", "updated_at": f"2026-03-0{updated}Z"}
    return row("transactions", **{**SALE, **base, "status": status, "lines": LINES, **values})


RECORDS = [
    row("products", external_id="p1", updated_at="2026-03-01T00:00:00Z", price_minor=600, **PRODUCT),
    row(
        "products",
        external_id="p1",
        updated_at="2026-03-02T00:00:00Z",
        price_minor=500,
        available_quantity=[{"outlet_id": "o1", "on_hand": 4, "reserved": 1, "available": 3}],
        **PRODUCT,
    ),
    row("customers", external_id="c1", updated_at="2026-03-01T00:00:00Z", home_outlet_id="o9", **PERSON),
    row("customers", external_id="c1", op="patch", updated_at="2026-03-02T00:00:00Z", language=None, status="active"),
    row("customers", external_id="c2", updated_at="2026-03-01T00:00:00Z", **PERSON),
    row("customers", external_id="c2", op="delete", updated_at="2026-03-03T00:00:00Z"),
    event("e1", "Product Added", "1T10:00:00", flockr_vid="v1", product_id="p1"),
    event("e2", "Session Started", "1T09:00:00", flockr_vid="v1", customer_id="c1", resolution_event="login"),
    event("e3", "Order Completed", "1T23:59:59", customer_id="c1", order_id="t1"),
    event("e4", "Product Viewed", "2T12:00:00", flockr_vid="v2", product_id="p2"),
    event("e4", "Product Viewed", "2T12:00:00", flockr_vid="v2", product_id="p1"),
    event("e5", "Cart Viewed", "1T11:00:00", flockr_vid="v1"),
    row("customer_events", external_id="e5", op="delete", occurred_at="2026-03-01T12:00:00Z"),
    sale("2T01:00:00"),
    sale("2T03:00:00", status="completed", customer_id="c1", occurred_at="2026-03-03T00:00:30Z"),
    row(
        "stock_levels",
        product_id="p1",
        outlet_id="o2",
        on_hand=9,
        reserved=0,
        available=9,
        measured_at="2026-03-01T08:00:00Z",
    ),
]


def tables(home: Path, seed: int) -> tuple[Tenant, dict[str, str]]:
    """Send the records in an order, in batches and with repetitions of the seed's choice, and run everything."""
    chance = random.Random(seed)
    sent = RECORDS + chance.sample(RECORDS, seed % len(RECORDS))
    chance.shuffle(sent)
    tenant = make_tenant(home)
    while sent:
        size = chance.randint(1, len(sent))
        batch, sent = sent[:size], sent[size:]
        for entity in sorted({name for name, _ in batch}):
            lines = [json.dumps(values) for name, values in batch if name == entity]
            data = "".join(f"{line}\n" for line in lines).encode()
            ingest_bytes(tenant, entity, data, "body.ndjson", received_at=datetime(2026, 3, 9, tzinfo=UTC))
    for step in STEPS:
        step.run(tenant, DAYS if step.partitioned else [])
    names = [table for step in STEPS for table in step.outputs if table not in LEDGERS]
    return tenant, {name: logical_sha256(tenant.lake.read(name)) for name in names}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Tenant, dict[str, str]]]:
    with pytest.MonkeyPatch.context() as patch:
        # Contact hashes are keyed, so tenants that are to be equal share a key.
        patch.setenv(KEY_VARIABLE, base64.b64encode(bytes(KEY_BYTES)).decode())
        return [tables(tmp_path_factory.mktemp("home"), seed) for seed in range(3)]


def test_any_order_gives_the_same_tables(results: list[tuple[Tenant, dict[str, str]]]) -> None:
    first, expected = results[0]
    for _, found in results[1:]:
        assert [name for name in found if found[name] != expected[name]] == []
    assert [check.name for check in CHECKS if not check.run(first, DAYS).passed] == []


def test_what_was_sent_is_in_the_tables(results: list[tuple[Tenant, dict[str, str]]]) -> None:
    lake = results[1][0].lake
    customer = lake.read("customers").select("external_id", "language", "status", "has_email").rows()
    assert customer == [("c1", None, "active", True)]
    assert lake.read("customer_orders").select("date", "customer_id", "units").rows() == [(DAYS[2], "c1", 1500)]
    assert lake.read("visitor_orders").select("date", "flockr_vid", "order_id").rows() == [(DAYS[2], "v1", "t1")]
    steps = lake.read("cart_activity").select("event_id", "flockr_vid", "step", "unit_price_minor").rows()
    assert steps == [("e1", "v1", "add", 600), ("e3", "v1", "order", None)]
    capped = lake.read("product_daily").filter(pl.col("product_id") == "p1")
    assert capped["available_end"].to_list() == [9000, 12000, 12000]
    assert lake.read("batches")["received"].sum() >= len(RECORDS)
    waiting = lake.read("unresolved_references").select("row_id", "field", "target_id").rows()
    assert ("c1", "home_outlet_id", "o9") in waiting
