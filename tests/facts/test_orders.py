"""Orders, returns, their lines, and which orders are a visitor's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.config import Tenant
from tests.entities.landing_files import at, land, make_tenant
from tests.facts.builders import DAYS, event, link, run, transaction


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return make_tenant(tmp_path)


def read(tenant: Tenant, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return tenant.lake.read(table).select(columns).rows()


def completed(event_id: str, when: str, order: str | None, **values: Any) -> dict[str, Any]:
    return event(event_id, "Order Completed", when, order_id=order, **values)


def test_sales_count_by_status(tenant: Tenant) -> None:
    statuses = ["open", "paid", "fulfilled", "completed", "partially_returned", "cancelled"]
    rows = [transaction(status, "2026-03-01T10:00", status=status) for status in statuses]
    rows.append(transaction("swap", "2026-03-01T10:00", type="exchange"))
    land(tenant, "transactions", rows)
    run(tenant)
    counted = ["completed", "fulfilled", "paid", "partially_returned"]
    assert read(tenant, "customer_orders", "order_id", "kind", "sale_id") == [(s, "sale", s) for s in counted]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_return_takes_back_whatever_its_sign(tenant: Tenant, sign: int) -> None:
    line = {"line_no": 1, "product_id": "p1", "quantity": sign * 500, "line_net_minor": sign * 250}
    values = {"type": "return", "net_minor": sign * 250, "lines": [line], "customer_id": "c1"}
    rows = [
        transaction("t1", "2026-03-01T10:00", customer_id="c1", discount_minor=30),
        transaction("r1", "2026-03-02T10:00", original_transaction_id="t1", **values),
        transaction("r2", "2026-03-02T11:00", original_transaction_id="t1", status="cancelled", **values),
        transaction("r3", "2026-03-02T11:00", **values),
    ]
    land(tenant, "transactions", rows)
    run(tenant)
    assert read(tenant, "customer_orders", "order_id", "kind", "sale_id", "net_minor", "units", "discount_minor") == [
        ("t1", "sale", "t1", 1000, 2000, 30),
        ("r1", "return", "t1", -250, -500, 0),
    ]
    assert read(tenant, "order_lines", "order_id", "quantity", "net_minor") == [("t1", 2000, 1000), ("r1", -500, -250)]
    names = ["date", "orders", "spend_minor", "discount_minor", "units", "returns", "returned_minor"]
    assert read(tenant, "customer_daily", *names) == [(DAYS[0], 1, 1000, 30, 2000, 0, 0), (DAYS[1], 0, 0, 0, 0, 1, 250)]


def test_a_customers_day_keeps_currencies_apart(tenant: Tenant) -> None:
    rows = [
        transaction(f"t{n}", "2026-03-01T10:00", customer_id="c1", currency=c)
        for n, c in enumerate(["GBP", "EUR", "GBP"])
    ]
    land(tenant, "transactions", [*rows, transaction("t9", "2026-03-01T10:00")])
    run(tenant)
    assert read(tenant, "customer_daily", "customer_id", "currency", "spend_minor") == [
        ("c1", "EUR", 1000),
        ("c1", "GBP", 2000),
    ]


def test_lines_without_numbers_of_their_own_are_numbered(tenant: Tenant) -> None:
    same = [{"line_no": 1, "product_id": p, "quantity": 1000, "line_net_minor": 1} for p in ("a", "b")]
    none = [{"product_id": p, "quantity": 1000, "line_net_minor": 1} for p in ("a", "b")]
    own = [{"line_no": n, "product_id": p, "quantity": 1000, "line_net_minor": 1} for n, p in ((7, "a"), (3, "b"))]
    rows = [
        transaction(name, "2026-03-01T10:00", lines=v) for name, v in (("none", none), ("own", own), ("same", same))
    ]
    land(tenant, "transactions", rows)
    run(tenant)
    assert read(tenant, "order_lines", "order_id", "line_no", "product_id") == [
        ("none", 1, "a"),
        ("none", 2, "b"),
        ("own", 3, "b"),
        ("own", 7, "a"),
        ("same", 1, "a"),
        ("same", 2, "b"),
    ]


def test_an_order_without_a_transaction_counts_until_it_arrives(tenant: Tenant) -> None:
    columns = ["date", "flockr_vid", "order_id", "ordered_at", "customer_id"]
    land(tenant, "customer_events", [completed("e1", "2026-03-01T23:59", "t1", customer_id="c1")])
    run(tenant)
    assert read(tenant, "visitor_orders", *columns) == [(DAYS[0], "v1", "t1", at("2026-03-01T23:59"), "c1")]
    land(tenant, "transactions", [transaction("t1", "2026-03-02T00:01", customer_id="c2")])
    run(tenant)
    assert read(tenant, "visitor_orders", *columns) == [(DAYS[1], "v1", "t1", at("2026-03-02T00:01"), "c2")]


def test_an_order_over_midnight_does_not_depend_on_which_days_were_run(tmp_path: Path) -> None:
    found = []
    for number, runs in enumerate(([DAYS], [[day] for day in DAYS], [[day] for day in reversed(DAYS)])):
        tenant = make_tenant(tmp_path / str(number))
        land(
            tenant, "customer_events", [completed("e1", "2026-03-01T23:59", "t1"), completed("e2", "2026-03-03", "t2")]
        )
        rows = [transaction("t1", "2026-03-02T00:01"), transaction("t2", "2026-03-02T12:00")]
        land(tenant, "transactions", rows)
        for days in runs:
            run(tenant, days)
        found.append(read(tenant, "visitor_orders", "date", "order_id"))
    assert found == [[(DAYS[1], "t1"), (DAYS[1], "t2")]] * 3


def test_a_cancelled_order_does_not_count(tenant: Tenant) -> None:
    land(tenant, "customer_events", [completed("e1", "2026-03-01T10:00", "t1")])
    land(tenant, "transactions", [transaction("t1", "2026-03-01T10:00")])
    later = transaction("t1", "2026-03-01T10:00", status="cancelled", updated_at=at("2026-03-02"))
    run(tenant)
    assert len(read(tenant, "visitor_orders", "order_id")) == 1
    land(tenant, "transactions", [later])
    run(tenant)
    assert read(tenant, "visitor_orders", "order_id") == []


def test_a_repeated_order_completed_counts_once_at_the_first_instant(tenant: Tenant) -> None:
    rows = [completed("e1", "2026-03-02T10:00", "t1"), completed("e2", "2026-03-01T10:00", "t1")]
    rows.append(completed("e3", "2026-03-01T11:00", "t1", flockr_vid="v2"))
    land(tenant, "customer_events", rows)
    run(tenant)
    assert read(tenant, "visitor_orders", "flockr_vid", "order_id", "ordered_at") == [
        ("v1", "t1", at("2026-03-01T10:00")),
        ("v2", "t1", at("2026-03-01T11:00")),
    ]


def test_an_order_completed_that_names_no_order_is_one_of_its_own(tenant: Tenant) -> None:
    land(tenant, "customer_events", [completed("e1", "2026-03-01T10:00", None), completed("e2", "2026-03-01", None)])
    run(tenant)
    assert read(tenant, "visitor_orders", "order_id") == [("event:e1",), ("event:e2",)]


def test_a_store_sale_is_of_every_device_linked_at_that_instant(tenant: Tenant) -> None:
    links = [
        link("phone", "c1", "2026-03-01T09:00"),
        link("laptop", "c1", "2026-03-01T09:30"),
        link("shared", "c1", "2026-03-01T08:00"),
        link("shared", "c2", "2026-03-01T09:00"),
        link("same", "c1", "2026-03-01T10:00"),
        link("returning", "c2", "2026-03-01T07:00"),
        link("returning", "c1", "2026-03-01T08:00"),
        link("returning", "c2", "2026-03-01T10:00"),
    ]
    land(tenant, "identity_links", links)
    land(tenant, "transactions", [transaction("t1", "2026-03-01T10:00", customer_id="c1", channel="store")])
    run(tenant)
    assert read(tenant, "visitor_orders", "flockr_vid", "customer_id") == [
        ("laptop", "c1"),
        ("phone", "c1"),
        ("returning", "c1"),
    ]


def test_an_order_reached_both_ways_counts_once(tenant: Tenant) -> None:
    land(tenant, "identity_links", [link("v1", "c1", "2026-03-01T09:00")])
    land(tenant, "customer_events", [completed("e1", "2026-03-01T10:01", "t1")])
    land(tenant, "transactions", [transaction("t1", "2026-03-01T10:00", customer_id="c1")])
    run(tenant)
    assert read(tenant, "visitor_orders", "flockr_vid", "order_id", "ordered_at") == [
        ("v1", "t1", at("2026-03-01T10:00"))
    ]
