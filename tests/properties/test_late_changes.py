"""Late records that reach further than their own day: every day that they change is computed again."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines import flow
from tests.properties.digest import differences, settled
from tests.properties.tenants import land_all, tenants
from tests.properties.valid import valid

FRIDAY, SATURDAY, SUNDAY, MONDAY = (f"2025-10-{day}T10:00:00Z" for day in (24, 25, 26, 27))


def event(key: str, name: str, at: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "customer_events", {
        "external_id": key,
        "event_name": name,
        "occurred_at": at,
        **({} if fields.pop("unnamed", False) else {"flockr_vid": "v1"}),
        **fields,
    }


def order(key: str, at: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    sale = {"type": "sale", "status": "completed", "channel": "web", "currency": "GBP"}
    line = {"product_id": "p1", "quantity": "1", "line_net_minor": 900}
    money = {"gross_minor": 900, "net_minor": 900, "lines": [line]}
    told = {"external_id": key, "occurred_at": at, "updated_at": at, **sale, **money, **fields}
    return "transactions", valid("transactions", told)


def product(at: str, price: int = 900, **fields: Any) -> tuple[str, dict[str, Any]]:
    kept = {"name": "Pot", "category_path": "home", "status": "active", "price_minor": price, "currency": "GBP"}
    return "products", {"external_id": "p1", "updated_at": at, **kept, **fields}


def viewed(at: str, product_id: str = "p1") -> tuple[str, dict[str, Any]]:
    return event(f"view-{at}", "Product Viewed", at, product_id=product_id)


def link(at: str, customer: str = "c1", **fields: Any) -> tuple[str, dict[str, Any]]:
    return "identity_links", {
        "flockr_vid": "v1",
        "customer_id": customer,
        "resolution_event": "login",
        "occurred_at": at,
        **fields,
    }


def customer(key: str, at: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "customers", {"external_id": key, "updated_at": at, **fields}


def campaign_link(at: str, campaign: str) -> tuple[str, dict[str, Any]]:
    target = "https://shop.example.com/a"
    return "links", {"external_id": "l1", "updated_at": at, "campaign_id": campaign, "destination_url": target}


def campaign(key: str, at: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "campaigns", {
        "external_id": key,
        "updated_at": at,
        "name": "Autumn",
        "type": "promotion",
        "channel": "email",
        "status": "live",
        **fields,
    }


def group(at: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "groups", {"external_id": "g1", "updated_at": at, "name": "North", "kind": "region", **fields}


def stock(at: str, **place: Any) -> dict[str, Any]:
    return {"product_id": "p1", "on_hand": "5", "reserved": "0", "available": "5", "measured_at": at, **place}


ADDED = event("e1", "Product Added", FRIDAY, product_id="p1", cart_id="cart")
QUIET = event("e9", "Page Viewed", MONDAY)
BOUGHT = event("e2", "Order Completed", SATURDAY, order_id="t1")

CLICK = event("e3", "Link Clicked", SUNDAY, link_id="l1")
UNNAMED = event("e8", "Product Viewed", SUNDAY, product_id="p1", customer_id="c1", unnamed=True)
TWO_CUSTOMERS = [customer("c1", FRIDAY), customer("c2", FRIDAY)]

SCENARIOS = {
    "an earlier first version of a product that is already known from later": (
        [ADDED, QUIET, product(MONDAY, 900)],
        [product(SUNDAY, 400)],
    ),
    "a product that arrives": ([ADDED, QUIET], [product(MONDAY, 400)]),
    "a product that was looked at, and moves to another category earlier than was known": (
        [product(FRIDAY), viewed(FRIDAY), viewed(SUNDAY), product(MONDAY, category_path="garden"), QUIET],
        [product(SATURDAY, category_path="garden")],
    ),
    "an earlier first category of a product that was looked at before it": (
        [viewed(FRIDAY), viewed(SUNDAY), product(MONDAY), QUIET],
        [product(SUNDAY, category_path="garden")],
    ),
    "an earlier category of a product that was sold, and of one that an event says was ordered": (
        [
            order("t1", FRIDAY),
            order("t2", SUNDAY),
            event("e3", "Order Completed", SUNDAY, order_id="t9", product_id="p1"),
            product(MONDAY),
            QUIET,
        ],
        [product(SATURDAY, category_path="garden")],
    ),
    "an order known by its event, whose transaction comes for another day": (
        [event("e3", "Order Completed", SUNDAY, order_id="t1", product_id="p2"), QUIET],
        [order("t1", SATURDAY)],
    ),
    "an outlet that turns out to have been online": (
        [order("t1", FRIDAY, channel="store", outlet_id="o1"), QUIET],
        [
            (
                "outlets",
                {
                    "external_id": "o1",
                    "updated_at": MONDAY,
                    "name": "Web",
                    "kind": "online",
                    "timezone": "Europe/London",
                    "country": "GB",
                },
            )
        ],
    ),
    "an earlier first version of a link that was clicked before": (
        [
            campaign("k1", FRIDAY),
            campaign("k2", FRIDAY),
            campaign_link(MONDAY, "k1"),
            event("e3", "Link Clicked", FRIDAY, link_id="l1"),
            QUIET,
        ],
        [campaign_link(SUNDAY, "k2")],
    ),
    "a customer whom the visitor of a click was, and who was merged": (
        [event("e3", "Link Clicked", SUNDAY, link_id="l1"), campaign_link(MONDAY, "k1"), QUIET],
        [link(FRIDAY), customer("c1", SATURDAY, merged_into="c2")],
    ),
    "a link of the visitor of a click, which is withdrawn": (
        [CLICK, campaign_link(FRIDAY, "k1"), link(FRIDAY, external_id="i1"), QUIET],
        [("identity_links", {"external_id": "i1", "op": "delete", "occurred_at": MONDAY})],
    ),
    "a link that ends the one by which the visitor of a click is looked for": (
        [
            event("e3", "Link Clicked", MONDAY, link_id="l1", customer_id="c1", unnamed=True),
            campaign_link(FRIDAY, "k1"),
            link(FRIDAY),
            QUIET,
        ],
        [link(SUNDAY, "c2")],
    ),
    "a merge of the customer of a click": (
        [event("e3", "Link Clicked", SUNDAY, link_id="l1", customer_id="c1"), campaign_link(FRIDAY, "k1"), QUIET],
        [customer("c1", SATURDAY, merged_into="c2")],
    ),
    "an earlier first version of a campaign": (
        [campaign("k1", SUNDAY), campaign("k1", MONDAY, name="Winter"), QUIET, ADDED],
        [campaign("k1", SATURDAY)],
    ),
    "a first publication that is moved back": (
        [
            product(FRIDAY, first_published_at=MONDAY),
            event("e3", "Product Viewed", FRIDAY, product_id="p1"),
            event("e4", "Product Viewed", SUNDAY, product_id="p1"),
            QUIET,
        ],
        [product(MONDAY, first_published_at=FRIDAY)],
    ),
    "an identity link that is withdrawn later": (
        [ADDED, link(FRIDAY, external_id="i1"), order("t1", SATURDAY, customer_id="c1"), QUIET],
        [("identity_links", {"external_id": "i1", "op": "delete", "occurred_at": MONDAY})],
    ),
    "an identity link that is moved": (
        [ADDED, link(FRIDAY, external_id="i1"), order("t1", SATURDAY, customer_id="c1"), QUIET],
        [link(SUNDAY, external_id="i1")],
    ),
    "an order named by two events, the earlier of which comes late": (
        [ADDED, event("e3", "Order Completed", SUNDAY, order_id="t1"), QUIET],
        [BOUGHT],
    ),
    "the visitor of an event after its order": (
        [
            ADDED,
            order("t1", SATURDAY),
            event("e3", "Order Completed", MONDAY, order_id="t1", customer_id="c1", unnamed=True),
        ],
        [link(SUNDAY)],
    ),
    "a merge of two customers, which comes late": (
        [*TWO_CUSTOMERS, order("t1", FRIDAY, customer_id="c1"), order("t2", SUNDAY, customer_id="c2"), ADDED, QUIET],
        [customer("c1", SATURDAY, merged_into="c2")],
    ),
    "the end of a merge, and an earlier first version of the merged customer": (
        [customer("c1", SATURDAY, merged_into="c2"), order("t1", FRIDAY, customer_id="c1"), link(FRIDAY), ADDED, QUIET],
        [customer("c1", MONDAY), customer("c1", FRIDAY)],
    ),
    "a merge into the customer of a linked visitor": (
        [*TWO_CUSTOMERS, link(FRIDAY, "c2"), ADDED, order("t1", SUNDAY, customer_id="c1"), UNNAMED, QUIET],
        [customer("c1", SATURDAY, merged_into="c2"), customer("c2", SUNDAY, merged_into="c1")],
    ),
    "a sale after its return": (
        [
            order("t2", FRIDAY, type="return", original_transaction_id="t1"),
            order("t3", FRIDAY, customer_id="c1"),
            QUIET,
        ],
        [order("t1", SUNDAY, customer_id="c1")],
    ),
    "a group that turns out to hold an outlet": (
        [
            group(FRIDAY, outlet_ids=["o2"]),
            ("stock_levels", stock(FRIDAY, outlet_id="o1")),
            ("stock_levels", stock(FRIDAY, group_id="g1")),
            QUIET,
        ],
        [group(MONDAY, outlet_ids=["o1"])],
    ),
    "an event that moves to another day": (
        [ADDED, QUIET],
        [event("e1", "Product Added", SUNDAY, product_id="p1", cart_id="cart")],
    ),
    "an order that moves to another day": (
        [order("t1", FRIDAY, customer_id="c1"), QUIET],
        [order("t1", SUNDAY, customer_id="c1")],
    ),
    "a return that comes late": (
        [order("t1", FRIDAY, customer_id="c1"), order("t2", SATURDAY, customer_id="c1"), QUIET],
        [order("t3", SUNDAY, type="return", original_transaction_id="t1")],
    ),
    "a day before all others": ([ADDED, QUIET], [order("t1", "2025-10-22T10:00:00Z", customer_id="c1")]),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_late_records_change_what_they_reach(name):
    first, late = SCENARIOS[name]
    with tenants() as (patched, straight):
        land_all(patched, first)
        flow.run(patched)
        land_all(patched, late)
        settled(patched)
        land_all(straight, [*first, *late])
        flow.run(straight)
        assert not differences(patched, straight)
