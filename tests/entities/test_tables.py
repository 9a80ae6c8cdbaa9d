"""The steps of the stage on landed batches: dated tables, dimensions, stock inside products, ledgers, checks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.config import Tenant
from pipelines.entities.steps import CHECKS, STEPS
from pipelines.landing import store
from pipelines.landing.layout import quarantine_file, receipt_file
from pipelines.storage.hashing import logical_sha256
from schemas.registry import DIMENSIONS
from schemas.tables import QUARANTINE
from tests.entities.landing_files import at, land, make_tenant, record

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]


def run(tenant: Tenant, *names: str, days: list[date] = DAYS) -> None:
    for step in STEPS:
        if not names or step.name in names:
            step.run(tenant, days if step.partitioned else [])


def event(event_id: str, when: str, **values: Any) -> dict[str, Any]:
    return record(**{"external_id": event_id, "event_name": "Product Viewed", "occurred_at": at(when), **values})


def sale(sale_id: str, when: str, **values: Any) -> dict[str, Any]:
    base = {
        "external_id": sale_id,
        "type": "sale",
        "status": "paid",
        "channel": "web",
        "currency": "GBP",
        "gross_minor": 1000,
        "net_minor": 1000,
        "lines": [],
        "occurred_at": at(when),
        "updated_at": at(when),
    }
    return record(**{**base, **values})


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return make_tenant(tmp_path)


def ids_by_day(tenant: Tenant, table: str) -> dict[str, date]:
    return dict(tenant.lake.read(table).select("external_id", "date").iter_rows())


def test_a_moved_transaction_stands_once_on_its_new_day(tenant: Tenant) -> None:
    land(tenant, "transactions", [sale("t1", "2026-03-01T10:00"), sale("t2", "2026-03-01T11:00")])
    land(tenant, "transactions", [sale("t1", "2026-03-03T10:00", updated_at=at("2026-03-03T12:00"))])
    run(tenant, "dimensions", "transactions")
    assert ids_by_day(tenant, "transactions") == {"t1": DAYS[2], "t2": DAYS[0]}


def test_a_deleted_event_is_gone_and_a_later_one_revives(tenant: Tenant) -> None:
    land(tenant, "customer_events", [event("e1", "2026-03-01T10:00"), event("e2", "2026-03-01T10:00")])
    gone = [event(name, "2026-03-01T10:00", op="delete") for name in ("e1", "e2")]
    land(tenant, "customer_events", gone)
    land(tenant, "customer_events", [event("e2", "2026-03-02T10:00")])
    run(tenant, "customer_events")
    assert ids_by_day(tenant, "customer_events") == {"e2": DAYS[1]}


def test_batches_in_any_order_give_the_same_tables(tmp_path: Path) -> None:
    batches = [
        [sale("t1", "2026-03-01T10:00"), sale("t2", "2026-03-02T10:00")],
        [record(op="patch", external_id="t1", net_minor=5, updated_at=at("2026-03-02T10:00"), occurred_at=None)],
        [sale("t2", "2026-03-02T10:00", status="cancelled"), sale("t3", "2026-03-02T23:30")],
    ]
    # A patch that names no instant has no day of its own.
    batches[1][0]["patch_fields"] = '["net_minor","updated_at"]'
    hashes = set()
    for number, order in enumerate(itertools.permutations(batches)):
        tenant = make_tenant(tmp_path / str(number))
        for batch in order:
            land(tenant, "transactions", batch)
        run(tenant, "dimensions", "transactions")
        hashes.add(logical_sha256(tenant.lake.read("transactions")))
        net = dict(tenant.lake.read("transactions").select("external_id", "net_minor").iter_rows())
        assert net == {"t1": 5, "t2": 1000, "t3": 1000}
    assert len(hashes) == 1


def test_single_days_equal_a_range(tmp_path: Path) -> None:
    tables = []
    for number, runs in enumerate(([DAYS], [[day] for day in DAYS])):
        tenant = make_tenant(tmp_path / str(number))
        land(tenant, "customer_events", [event(f"e{n}", f"2026-03-0{1 + n % 3}T10:00") for n in range(9)])
        land(tenant, "customer_events", [event("e1", "2026-03-03T10:00"), event("e8", "2026-03-01T09:00")])
        for days in runs:
            run(tenant, "customer_events", days=days)
        tables.append(logical_sha256(tenant.lake.read("customer_events")))
    assert tables[0] == tables[1]


def test_business_date_comes_from_the_outlet_then_from_the_tenant(tenant: Tenant) -> None:
    place = {"name": "n", "kind": "store", "country": "JP", "updated_at": at("2026-03-02")}
    land(tenant, "outlets", [record(external_id="tokyo", timezone="Asia/Tokyo", **place)])
    rows = [
        sale("far", "2026-03-01T20:00", outlet_id="tokyo"),
        sale("near", "2026-03-01T20:00", outlet_id="unknown"),
        sale("said", "2026-03-01T20:00", outlet_id="tokyo", business_date=date(2026, 2, 28)),
    ]
    land(tenant, "transactions", rows)
    run(tenant, "dimensions", "transactions")
    found = dict(tenant.lake.read("transactions").select("external_id", "business_date").iter_rows())
    assert found == {"far": DAYS[1], "near": DAYS[0], "said": date(2026, 2, 28)}


def test_stock_inside_products_is_stock(tenant: Tenant) -> None:
    product = {"name": "p", "category_path": "a", "status": "active", "price_minor": 1, "currency": "GBP"}
    entries = [
        {"outlet_id": "o1", "on_hand": 5000, "reserved": 1000, "measured_at": "2026-03-01T08:00:00.000000Z"},
        {"group_id": "g1", "on_hand": 7000, "reserved": 0, "available": 7000},
    ]
    first = record(external_id="p1", updated_at=at("2026-03-02T08:00"), available_quantity=entries, **product)
    land(tenant, "products", [first])
    land(tenant, "products", [record(external_id="p1", updated_at=at("2026-03-03T08:00"), **product)])
    same = {"product_id": "p1", "outlet_id": "o1", "on_hand": 5000, "reserved": 1000, "available": 4000}
    land(tenant, "stock_levels", [record(measured_at=at("2026-03-01T08:00"), **same)])
    run(tenant, "dimensions", "stock_levels")
    rows = tenant.lake.read("stock_levels").select("date", "product_id", "outlet_id", "group_id", "available").rows()
    assert rows == [(DAYS[0], "p1", "o1", None, 4000), (DAYS[1], "p1", None, "g1", 7000)]


def test_an_event_with_a_resolution_links_once(tenant: Tenant) -> None:
    link = {"flockr_vid": "v1", "customer_id": "c1", "occurred_at": at("2026-03-01T10:00"), "resolution_event": "login"}
    land(tenant, "customer_events", [record(external_id="e1", event_name="Session Started", **link)])
    land(tenant, "identity_links", [record(**link)])
    later = {**link, "occurred_at": at("2026-03-02T10:00")}
    land(tenant, "customer_events", [record(external_id="e2", event_name="Session Started", **later)])
    run(tenant, "dimensions")
    links = tenant.lake.read("identity_links").sort("occurred_at")
    assert links["occurred_at"].to_list() == [link["occurred_at"], later["occurred_at"]]
    assert tenant.lake.read("identity_links_history").height == 2


def test_references_wait_and_are_resolved(tenant: Tenant) -> None:
    rows = [
        event("e1", "2026-03-01T10:00", product_id="p1", order_id="t1", value_minor=70, currency="GBP"),
        event("e2", "2026-03-02T10:00", products=[{"product_id": "p2"}, {"product_id": "p1"}, {"product_id": "p2"}]),
    ]
    land(tenant, "customer_events", rows)
    land(tenant, "transactions", [sale("t2", "2026-03-01T10:00", campaign_ids=["k1", "k2"])])
    product = {"name": "p", "category_path": "a", "status": "active", "price_minor": 1, "currency": "GBP"}
    land(tenant, "products", [record(external_id="p1", updated_at=at("2026-03-01"), **product)])
    campaign = {"name": "k", "type": "gift", "channel": "email", "updated_at": at("2026-03-01")}
    land(tenant, "campaigns", [record(external_id="k1", **campaign)])
    run(tenant)
    names = ["entity", "row_id", "field", "target_entity", "target_id", "date", "blocked_minor"]
    waiting = tenant.lake.read("unresolved_references")
    assert waiting.select(names).rows() == [
        ("customer_events", "e1", "order_id", "transactions", "t1", DAYS[0], 70),
        ("customer_events", "e2", "products.product_id", "products", "p2", DAYS[1], None),
        ("transactions", "t2", "campaign_ids", "campaigns", "k2", DAYS[0], 1000),
    ]
    assert waiting["since"].to_list() == [at(f"2026-03-0{n}T10:00") for n in (1, 2, 1)]
    land(tenant, "transactions", [sale("t1", "2026-03-03T10:00")])
    run(tenant)
    assert "t1" not in set(tenant.lake.read("unresolved_references")["target_id"])


def test_a_waiting_row_waits_since_its_first_version(tenant: Tenant) -> None:
    old = record(external_id="c1", home_outlet_id="o9", updated_at=at("2026-03-01"))
    new = record(external_id="c1", home_outlet_id="o9", updated_at=at("2026-03-02"), language="en")
    land(tenant, "customers", [new])
    land(tenant, "customers", [old])
    run(tenant)
    assert tenant.lake.read("unresolved_references")["since"].to_list() == [at("2026-03-01")]


def test_ledgers_list_batches_and_refused_rows(tenant: Tenant) -> None:
    batch = land(tenant, "customers", [record(external_id="c1", updated_at=at("2026-03-01"))])
    refused = {"entity": "customers", "batch_id": batch, "file": "f", "line_no": 2, "rule": "r", "reason": "r:x"}
    frame = pl.DataFrame([{**refused, "redacted_row": "{}"}], schema=QUARANTINE.schema)
    frame.write_parquet(quarantine_file(tenant, "customers", batch))
    receipt = store.committed(tenant, "customers")[0]
    counted = replace(receipt, received=2, quarantined=1)
    receipt_file(tenant, "customers", batch).write_bytes(counted.to_json())
    run(tenant)
    assert tenant.lake.read("batches").select("entity", "batch_id", "received").rows() == [("customers", batch, 2)]
    assert tenant.lake.read("quarantine").select("line_no", "reason").rows() == [(2, "r:x")]


def test_without_input_every_table_is_there_and_empty(tenant: Tenant) -> None:
    run(tenant)
    tables = [table for step in STEPS for table in step.outputs]
    assert len(tables) == 2 * len(DIMENSIONS) + 8
    assert "batch_partitions" in tables
    assert all(tenant.lake.exists(table) and tenant.lake.read(table).is_empty() for table in tables)
    assert all(check.run(tenant, DAYS).passed for check in CHECKS)


def failed(tenant: Tenant) -> set[str]:
    return {check.name for check in CHECKS if not check.run(tenant, DAYS).passed}


def test_checks_see_what_is_wrong(tenant: Tenant) -> None:
    land(tenant, "customer_events", [event("e1", "2026-03-01T10:00")])
    run(tenant)
    assert failed(tenant) == set()
    with tenant.lake.writer("customer_events") as writer:
        again = tenant.lake.read("customer_events", [DAYS[0]])
        writer.put(DAYS[1], again.with_columns(query=pl.lit("call +44 7700 900123")))
    batches = tenant.lake.read("batches").with_columns(accepted=pl.lit(0, dtype=pl.Int64))
    tenant.lake.replace("batches", batches)
    expected = {"customer_events_one_row_per_id", "customer_events_no_personal_data", "counts_add_up"}
    assert failed(tenant) == expected


def test_a_day_may_be_computed_while_an_earlier_one_still_shows_a_row_that_moved(tenant: Tenant) -> None:
    (check,) = (each for each in CHECKS if each.name == "customer_events_one_row_per_id")
    land(tenant, "customer_events", [event("e1", "2026-03-01T10:00"), event("e2", "2026-03-01T11:00")])
    run(tenant, "customer_events")
    land(tenant, "customer_events", [event("e1", "2026-03-02T10:00")])
    run(tenant, "customer_events", days=DAYS[1:])
    assert tenant.lake.read("customer_events")["external_id"].sort().to_list() == ["e1", "e1", "e2"]
    assert check.run(tenant, DAYS[1:]).passed
    assert check.run(tenant, DAYS).evidence["misplaced"] == 1
    run(tenant, "customer_events", days=DAYS[:1])
    assert check.run(tenant, DAYS).passed


def test_an_address_in_a_free_field_is_seen(tenant: Tenant) -> None:
    land(tenant, "customers", [record(external_id="c1", updated_at=at("2026-03-01"), tags=["ann@example.com"])])
    run(tenant)
    assert failed(tenant) == {"customers_no_personal_data"}
