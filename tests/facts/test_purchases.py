"""What visitors bought, and what orders and lines say of category, discount and side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.config import Tenant
from pipelines.entities.steps import publish_dimensions
from tests.entities.landing_files import at, land, make_tenant, record
from tests.facts.builders import DAYS, event, link, product, run, transaction

NAMES = ("date", "flockr_vid", "order_id", "product_id", "units", "net_minor", "currency", "discounted", "category")


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return make_tenant(tmp_path)


def read(tenant: Tenant, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return tenant.lake.read(table).select(columns).rows()


def bought(tenant: Tenant, *columns: str) -> list[tuple[Any, ...]]:
    return read(tenant, "visitor_purchases", *(columns or NAMES))


def completed(when: str, order: str | None = "t1", event_id: str = "e1", **values: Any) -> dict[str, Any]:
    return event(event_id, "Order Completed", when, order_id=order, **values)


def line(product_id: str | None, quantity: int = 1000, net: int = 500, **values: Any) -> dict[str, Any]:
    return {"product_id": product_id, "quantity": quantity, "line_net_minor": net, **values}


def version(product_id: str, when: str, category: str) -> dict[str, Any]:
    return {**product(product_id, when, 100), "category_path": category}


def test_lines_of_the_transaction_count_on_its_own_day_once_per_product(tenant: Tenant) -> None:
    lines = [line("p2"), line("p1", 500, 100), line("p1", 1500, 301, line_discount_minor=5), line(None)]
    land(tenant, "customer_events", [completed("2026-03-01T23:59", products=[{"product_id": "p9"}])])
    land(tenant, "transactions", [transaction("t1", "2026-03-02T00:01", lines=lines)])
    run(tenant)
    assert bought(tenant) == [
        (DAYS[1], "v1", "t1", "p1", 2000, 401, "GBP", True, None),
        (DAYS[1], "v1", "t1", "p2", 1000, 500, "GBP", False, None),
    ]


def test_without_a_transaction_the_event_counts_and_a_half_goes_to_the_even_side(tenant: Tenant) -> None:
    products = [
        {"product_id": "p1", "quantity": 500, "unit_price_minor": 101, "currency": "GBP"},
        {"product_id": "p2", "quantity": 500, "unit_price_minor": 103},
        {"product_id": "p3"},
        {"product_id": "p4", "unit_price_minor": 5, "currency": "GBP"},
        {"product_id": "p4", "unit_price_minor": 5, "currency": "EUR"},
        {"product_id": ""},
    ]
    land(tenant, "products", [version("p1", "2026-03-05T10:00", "a > b")])
    land(tenant, "customer_events", [completed("2026-03-01T23:59", products=products, currency="GBP", coupon="TEN")])
    run(tenant)
    assert bought(tenant) == [
        (DAYS[0], "v1", "t1", "p1", 500, 50, "GBP", True, "a > b"),
        (DAYS[0], "v1", "t1", "p2", 500, 52, "GBP", True, None),
        (DAYS[0], "v1", "t1", "p3", 1000, None, "GBP", True, None),
        (DAYS[0], "v1", "t1", "p4", 2000, None, None, True, None),
    ]
    land(tenant, "transactions", [transaction("t1", "2026-03-02T00:01", status="cancelled")])
    run(tenant)
    assert bought(tenant) == []


def test_the_first_of_several_events_stands_for_the_order(tenant: Tenant) -> None:
    rows = [
        completed("2026-03-02T10:00", event_id="e1", product_id="p1"),
        completed("2026-03-01T10:00", event_id="e2", product_id="p2"),
        completed("2026-03-02T10:00", None, event_id="e3", product_id="p3"),
    ]
    land(tenant, "customer_events", rows)
    run(tenant)
    assert bought(tenant, "date", "order_id", "product_id") == [(DAYS[0], "t1", "p2"), (DAYS[1], "event:e3", "p3")]


def test_every_visitor_linked_to_the_customer_bought_it_and_returns_do_not_count(tenant: Tenant) -> None:
    land(tenant, "identity_links", [link("v1", "c1", "2026-03-01T09:00"), link("v2", "c1", "2026-03-01T10:00")])
    land(tenant, "customers", [record(external_id="c0", updated_at=at("2026-03-01"), merged_into="c1")])
    publish_dimensions(tenant, ("customers",))
    rows = [
        transaction("t1", "2026-03-01T10:00", customer_id="c0", lines=[line("p1")]),
        transaction("t2", "2026-03-01T10:01", customer_id="c1", lines=[line("p1")]),
        transaction(
            "r1", "2026-03-01T12:00", customer_id="c1", type="return", original_transaction_id="t1", lines=[line("p1")]
        ),
    ]
    land(tenant, "transactions", rows)
    run(tenant)
    assert bought(tenant, "flockr_vid", "order_id", "customer_id", "ordered_at") == [
        ("v1", "t1", "c1", at("2026-03-01T10:00")),
        ("v1", "t2", "c1", at("2026-03-01T10:01")),
        ("v2", "t2", "c1", at("2026-03-01T10:01")),
    ]


def test_a_line_has_the_category_of_its_instant_and_its_own_where_the_product_is_unknown(tenant: Tenant) -> None:
    land(tenant, "products", [version("p1", "2026-03-02T10:00", "a"), version("p1", "2026-03-02T12:00", "b")])
    own = [line(given, line_no=place, category="own") for place, given in enumerate(("p1", "p2", None), 1)]
    own.append(line("p3", line_no=4))
    rows = [transaction(f"t{when}", f"2026-03-02T{when}", lines=own) for when in ("09:00", "11:59", "12:00")]
    land(tenant, "transactions", rows)
    run(tenant)
    found = read(tenant, "order_lines", "category")
    assert [category for (category,) in found] == ["a", "own", "own", None] * 2 + ["b", "own", "own", None]


@pytest.mark.parametrize(
    ("of_line", "of_order", "line_is", "order_is"),
    [
        ({}, {}, False, False),
        ({"line_discount_minor": 0}, {"discount_minor": 0, "coupon_codes": []}, False, False),
        ({"line_discount_minor": 1}, {}, True, True),
        ({}, {"discount_minor": 1}, False, True),
        ({}, {"coupon_codes": ["TEN"]}, True, True),
    ],
)
def test_a_discount_is_of_a_line_of_the_order_or_a_coupon(tenant, of_line, of_order, line_is, order_is) -> None:
    lines = [line("p1", line_no=1, **of_line), line("p2", line_no=2)]
    sale = transaction("t1", "2026-03-01T10:00", lines=lines, **of_order)
    land(
        tenant, "transactions", [sale, {**sale, "external_id": "r1", "type": "return", "original_transaction_id": "t1"}]
    )
    run(tenant)
    coupon = bool(of_order.get("coupon_codes"))
    assert read(tenant, "order_lines", "discounted") == [(line_is,), (coupon,)] * 2
    assert read(tenant, "customer_orders", "discounted", "product_ids") == [(order_is, '["p1","p2"]')] * 2


def test_a_side_is_online_by_channel_or_by_the_kind_that_the_outlet_had(tenant: Tenant) -> None:
    def outlet(key: str, when: str, kind: str) -> dict[str, Any]:
        told = {"name": "n", "timezone": "Europe/London", "country": "GB", "kind": kind}
        return record(external_id=key, updated_at=at(when), **told)

    land(tenant, "outlets", [outlet("o1", "2026-03-01T09:00", "online"), outlet("o1", "2026-03-02T09:00", "store")])
    rows = [
        transaction(f"t-{channel}", "2026-03-02T10:00", channel=channel, outlet_id="o1", lines=[])
        for channel in ("store", "web", "app", "marketplace", "phone")
    ]
    times = [("early", "2026-03-01T08:00"), ("just", "2026-03-02T08:59"), ("moved", "2026-03-02T09:00")]
    rows += [transaction(key, when, channel="store", outlet_id="o1", lines=[]) for key, when in times]
    rows.append(transaction("unknown", "2026-03-01T10:00", channel="store", outlet_id="o2", lines=[]))
    rows.append(transaction("nowhere", "2026-03-01T10:00", channel="store", lines=[]))
    land(tenant, "transactions", rows)
    run(tenant)
    sides = dict(read(tenant, "customer_orders", "order_id", "side"))
    assert {key for key, side in sides.items() if side == "outlet"} == {"t-store", "moved", "unknown", "nowhere"}
    assert {text for (text,) in read(tenant, "customer_orders", "product_ids")} == {"[]"}


def test_product_ids_are_canonical_json(tenant: Tenant) -> None:
    odd = 'p"\\é'
    lines = [line(given, line_no=place) for place, given in enumerate(("p2", odd, "p2", "p10", None), 1)]
    land(tenant, "transactions", [transaction("t1", "2026-03-01T10:00", lines=lines)])
    run(tenant)
    assert read(tenant, "customer_orders", "product_ids") == [('["p\\"\\\\é","p10","p2"]',)]
