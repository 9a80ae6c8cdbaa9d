"""Cart steps and visitors' days."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import Tenant
from tests.entities.landing_files import at, land, make_tenant
from tests.facts.builders import DAYS, event, link, product, run


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return make_tenant(tmp_path)


def carts(tenant: Tenant, *columns: str) -> list[tuple[Any, ...]]:
    return tenant.lake.read("cart_activity").select(columns).rows()


def test_a_step_has_a_row_per_product_and_a_price(tenant: Tenant) -> None:
    lines = [
        {"product_id": "p1", "quantity": 3000, "unit_price_minor": 150, "currency": "EUR"},
        {"product_id": "p2"},
    ]
    land(tenant, "products", [product("p2", "2026-03-01T09:00", 500)])
    rows = [
        event("e1", "Product Added", "2026-03-01T10:00", products=lines, cart_id="k"),
        event("e2", "Product Removed", "2026-03-01T11:00", product_id="p2", cart_id="k"),
        event("e3", "Cart Viewed", "2026-03-01T12:00", cart_id="k"),
        event("e4", "Checkout Started", "2026-03-01T13:00", cart_id="k"),
        event("e5", "Order Completed", "2026-03-01T14:00", cart_id="k", order_id="t1"),
        event("e6", "Product Viewed", "2026-03-01T15:00", product_id="p1"),
    ]
    land(tenant, "customer_events", rows)
    run(tenant)
    assert carts(tenant, "event_id", "line", "step", "product_id", "quantity", "unit_price_minor", "currency") == [
        ("e1", 0, "add", "p1", 3000, 150, "EUR"),
        ("e1", 1, "add", "p2", 1000, 500, "GBP"),
        ("e2", 0, "remove", "p2", 1000, 500, "GBP"),
        ("e3", 0, "view", None, 0, None, None),
        ("e4", 0, "checkout", None, 0, None, None),
        ("e5", 0, "order", None, 0, None, None),
    ]


def test_the_price_is_the_one_of_the_instant_and_a_late_product_prices_old_days(tenant: Tenant) -> None:
    land(tenant, "products", [product("p1", "2026-03-02T09:00", 100), product("p1", "2026-03-02T12:00", 200)])
    adds = [
        event(f"e{hour}", "Product Added", when, product_id="p1")
        for hour, when in enumerate(("2026-03-01T10:00", "2026-03-02T11:59", "2026-03-02T12:00"))
    ]
    land(tenant, "customer_events", adds)
    run(tenant)
    assert carts(tenant, "event_id", "unit_price_minor") == [("e0", 100), ("e1", 100), ("e2", 200)]


def test_a_cart_is_named_by_its_id_then_the_session_then_the_visitor(tenant: Tenant) -> None:
    when = "2026-03-01T10:00"
    rows = [
        event("e1", "Product Added", when, product_id="p", cart_id="k", session_id="s"),
        event("e2", "Product Added", when, product_id="p", session_id="s"),
        event("e3", "Product Added", when, product_id="p"),
    ]
    land(tenant, "customer_events", rows)
    run(tenant)
    assert carts(tenant, "cart_key") == [("c:k",), ("s:s",), ("v:v1",)]


def test_a_customers_event_goes_to_the_visitor_linked_last_before_it(tenant: Tenant) -> None:
    land(tenant, "identity_links", [link("v1", "c1", "2026-03-01T10:00"), link("v2", "c1", "2026-03-01T12:00")])
    hours = ("10:00", "10:01", "12:00", "12:01")
    rows = [
        event(f"e{n}", "Cart Viewed", f"2026-03-01T{hour}", flockr_vid=None, customer_id="c1")
        for n, hour in enumerate(hours)
    ]
    rows.append(event("own", "Cart Viewed", "2026-03-01T13:00", flockr_vid="v9", customer_id="c1"))
    land(tenant, "customer_events", rows)
    run(tenant)
    found = {event_id: vid for event_id, vid in carts(tenant, "event_id", "flockr_vid")}
    assert found == {"e1": "v1", "e2": "v1", "e3": "v2", "own": "v9"}


def test_a_visitors_day_counts_people_and_not_bots(tenant: Tenant) -> None:
    rows = [
        event("e1", "Product Viewed", "2026-03-01T10:00", product_id="p1", session_id="s1"),
        event("e2", "Product Viewed", "2026-03-01T10:01", product_id="p1", session_id="s1", agent_class="human"),
        event("e3", "Product Viewed", "2026-03-01T11:00", product_id="p2", session_id="s2", agent_class="unknown"),
        event("e4", "Product Added", "2026-03-01T11:01", product_id="p2", session_id="s2"),
        event("e5", "Something Else", "2026-03-01T11:02"),
        event("e6", "Product Viewed", "2026-03-01T12:00", product_id="p3", session_id="s3", agent_class="bot"),
        event("e7", "Product Viewed", "2026-03-01T12:00", product_id="p3", flockr_vid="b", agent_class="bot"),
    ]
    land(tenant, "customer_events", rows)
    run(tenant)
    days = tenant.lake.read("visitor_daily").drop("date").to_dicts()
    assert days == [
        {
            "flockr_vid": "v1",
            "events": 5,
            "sessions": 2,
            "views": 3,
            "products_viewed": 2,
            "adds": 1,
            "removes": 0,
            "checkouts": 0,
            "orders": 0,
            "first_at": at("2026-03-01T10:00"),
            "last_at": at("2026-03-01T11:02"),
        }
    ]


def test_a_day_of_25_hours_holds_all_of_them(tenant: Tenant) -> None:
    hours = ["2026-10-24T22:59", "2026-10-24T23:00", "2026-10-25T00:30", "2026-10-25T23:59", "2026-10-26T00:00"]
    land(tenant, "customer_events", [event(f"e{n}", "Cart Viewed", when) for n, when in enumerate(hours)])
    run(tenant, [date(2026, 10, 24), date(2026, 10, 25), date(2026, 10, 26)])
    assert carts(tenant, "event_id", "date") == [
        ("e0", date(2026, 10, 24)),
        *((f"e{n}", date(2026, 10, 25)) for n in (1, 2, 3)),
        ("e4", date(2026, 10, 26)),
    ]


def test_every_day_that_was_asked_for_is_published(tenant: Tenant) -> None:
    land(tenant, "customer_events", [event("e1", "Cart Viewed", "2026-03-02T10:00")])
    run(tenant)
    assert tenant.lake.rows("cart_activity") == {DAYS[0]: 0, DAYS[1]: 1, DAYS[2]: 0}
