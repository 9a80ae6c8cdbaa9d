"""A tiny hand-made retailer: two campaigns, their customers and clicks, and every table that the exports read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.config import BucketTarget, ExportTargets, Tenant, TenantConfig
from pipelines.storage.lake import contract_of
from schemas.tables import OPEN_SPANS

DAY = date(2026, 3, 10)
DAYS = [date(2026, 3, 9), DAY]


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def tenant(home: Path, **exports: Any) -> Tenant:
    targets = exports or {
        "s3": BucketTarget(bucket="lake", prefix="m"),
        "gcs": BucketTarget(bucket="files", prefix="d"),
    }
    config = TenantConfig(id="shop", timezone="Europe/London", exports=ExportTargets(**targets))
    return Tenant(config, home, home / "tenants" / "shop")


def table(name: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of a lake table; columns that are not given are null."""
    contract = contract_of(name)
    return pl.DataFrame(
        [{column: row.get(column) for column in contract.names} for row in rows], schema=contract.schema
    )


def put(shop: Tenant, name: str, *rows: dict[str, Any], days: list[date] | None = None) -> None:
    frame = table(name, *rows)
    with shop.lake.writer(name) as writer:
        if not contract_of(name).partitioned:
            writer.put(None, frame)
            return
        for day in days or DAYS:
            writer.put(day, frame.filter(pl.col("date") == day))


def version(entity: str, key: str, since: datetime, **values: Any) -> dict[str, Any]:
    """One version of a dimension row, the newest."""
    return {
        "external_id": key,
        "updated_at": since,
        **values,
        "effective_from": since,
        "is_deleted": False,
        "version_hash": f"{entity}-{key}",
    }


def event(key: str, name: str, when: datetime, **values: Any) -> dict[str, Any]:
    return {"date": when.date(), "external_id": key, "event_name": name, "occurred_at": when, **values}


def order(key: str, customer: str, when: datetime, net: int, currency: str = "GBP") -> dict[str, Any]:
    return {
        "date": when.date(),
        "order_id": key,
        "kind": "sale",
        "sale_id": key,
        "customer_id": customer,
        "occurred_at": when,
        "net_minor": net,
        "currency": currency,
        "units": 1000,
        "discount_minor": 10,
        "channel": "web",
    }


def line(key: str, customer: str, when: datetime, product: str, quantity: int, kind: str = "sale") -> dict[str, Any]:
    return {
        "date": when.date(),
        "order_id": key,
        "line_no": 1,
        "kind": kind,
        "sale_id": key,
        "customer_id": customer,
        "occurred_at": when,
        "product_id": product,
        "quantity": quantity,
        "net_minor": quantity,
        "discount_minor": 0,
        "currency": "GBP",
        "channel": "web",
    }


PRODUCTS = (
    '[{"product_id":"p1","role":"promoted","offer_type":"percent","offer_value":"-12.5",'
    '"valid_from":"2026-03-09T00:00:00Z"},{"product_id":"p9","role":"reward"}]'
)


def span(subject: str) -> dict[str, Any]:
    return {
        "date": OPEN_SPANS,
        "cohort_id": "lapsed_shopper",
        "definition_version": "1",
        "subject": subject,
        "valid_from": at(10),
        "subject_type": "customer",
        "external_id": subject,
        "entry_transition_id": f"t-{subject}",
    }


def fill(shop: Tenant) -> None:
    """Everything that the exports read, two days of it."""
    put(
        shop,
        "campaigns_history",
        version(
            "c",
            "c1",
            at(8),
            name="=Spring",
            type="message",
            channel="email",
            status="live",
            launched_at=at(8),
            created_at=at(8),
            audience_cohort_id="lapsed_shopper",
            products=PRODUCTS,
        ),
        version(
            "c", "c2", at(8), name="Two", type="message", channel="sms", attribution_window_days=1, created_at=at(8)
        ),
        version("c", "c9", at(20), name="Not yet", type="message", channel="sms", created_at=at(20)),
    )
    put(
        shop,
        "campaign_customers_history",
        version(
            "s",
            "s1",
            at(8),
            campaign_id="c1",
            customer_id="u1",
            variant="treatment",
            selected_at=at(8),
            channel="email",
        ),
        version(
            "s", "s2", at(8), campaign_id="c1", customer_id="u2", variant="control", selected_at=at(8), channel="email"
        ),
        version(
            "s",
            "s3",
            at(8),
            campaign_id="c2",
            customer_id="u2",
            variant="treatment",
            selected_at=at(8),
            channel="sms",
            suppression_reason="opted_out",
        ),
    )
    url = "https://shop.example.com/a?utm_source=x&id=7&gclid=1#top"
    put(
        shop,
        "links_history",
        version("l", "l1", at(8), campaign_id="c1", destination_url=url, position=1),
        version("l", "l2", at(8), campaign_id="c2", destination_url="https://shop.example.com/?utm_id=3"),
    )
    put(
        shop,
        "opt_outs_history",
        opt("o1", 9, "opt_out", link_id="l1"),
        opt("o2", 10, "opt_in"),
        opt("o3", 10, "opt_out", customer_id=None, contact_hash="h" * 8),
    )
    put(shop, "customers", {"external_id": "u1"}, {"external_id": "u2"})
    put(shop, "products", {"external_id": "p1"})
    put(shop, "groups")
    put(shop, "identity_links", {"external_id": "i1", "flockr_vid": "v1", "customer_id": "u1", "occurred_at": at(9)})
    put(
        shop,
        "customer_events",
        event("e1", "Message Sent", at(9, 8), customer_id="u1", campaign_id="c1"),
        event("e2", "Message Opened", at(9, 9), customer_id="u1", campaign_id="c1", agent_class="bot"),
        event("e3", "Link Clicked", at(9, 12), flockr_vid="v1", link_id="l1", device_type="mobile"),
        event("e4", "Link Clicked", at(9, 11), flockr_vid="v1", link_id="l1"),
        event("e5", "Link Clicked", at(10, 9), customer_id="u1", link_id="l1", agent_class="bot"),
        event("e6", "Link Clicked", at(10, 10), customer_id="u1", link_id="l1", device_type="desktop"),
        event("e7", "Link Clicked", at(10, 11), customer_id="u1", link_id="l2"),
        event("e8", "Link Clicked", at(10, 11), customer_id="u1", link_id="nowhere"),
        event("e9", "Message Failed", at(9, 8), customer_id="u2", campaign_id="c2", failure_code="550"),
        event("e10", "Product Viewed", at(10, 11), flockr_vid="v1", product_id="p1", query="ann@example.com"),
    )
    put(
        shop,
        "customer_orders",
        order("t1", "u1", at(9, 13), 1000),
        order("t2", "u1", at(10, 12), 500),
        order("t0", "u1", at(9, 10), 99),
        order("t3", "u3", at(10, 12), 77),
    )
    put(
        shop,
        "order_lines",
        line("t1", "u1", at(9, 13), "p1", 1500),
        line("t2", "u1", at(10, 12), "p1", 1000),
        line("r1", "u1", at(10, 15), "p1", -500, "return"),
    )
    before = [DAY - timedelta(days=n) for n in range(31, -1, -1)]
    put(
        shop,
        "product_daily",
        *[product_day(day, 300 if day < DAYS[0] else 1500) for day in before],
        days=before,
    )
    put(
        shop,
        "signal_snapshots",
        snapshot("stock_runway_days", 2.5, None),
        snapshot("scarcity_state", None, "critical"),
    )
    put(shop, "signal_crossings")
    put(shop, "cohort_membership", member("u1"))
    put(shop, "cohort_transitions")
    put(shop, "cohort_membership_history", span("u1"), days=[*DAYS, OPEN_SPANS])
    size = {"date": DAY, "cohort_id": "lapsed_shopper", "definition_version": "1", "size": 1, "entered": 1, "exited": 0}
    put(shop, "cohort_sizes", size)
    waiting = {"entity": "customer_events", "row_id": "e8", "field": "link_id", "target_entity": "links"}
    put(shop, "unresolved_references", {**waiting, "target_id": "nowhere", "since": at(10, 11), "date": DAY})


def opt(key: str, day: int, action: str, **values: Any) -> dict[str, Any]:
    given = {"customer_id": "u1", "channel": "email", "scope": "all", "action": action, "reason": "agent", **values}
    return version("o", key, at(day), occurred_at=at(day), **given)


def product_day(day: date, units: int) -> dict[str, Any]:
    zero = dict.fromkeys(("views", "viewers", "adds", "purchases", "units_returned", "revenue_minor"), 0)
    return {"date": day, "product_id": "p1", "units_sold": units, **zero}


def snapshot(signal: str, value: float | None, state: str | None) -> dict[str, Any]:
    return {
        "date": DAY,
        "signal_id": signal,
        "subject_type": "product",
        "subject": "p1",
        "value": value,
        "state": state,
        "inputs_hash": "0",
        "definition_version": "1",
    }


def member(customer: str, is_member: bool = True) -> dict[str, Any]:
    return {
        "date": DAY,
        "cohort_id": "lapsed_shopper",
        "definition_version": "1",
        "subject": customer,
        "membership_key": f"key-{customer}",
        "subject_type": "customer",
        "external_id": customer,
        "is_member": is_member,
        "entered_at": at(10, 1),
        "updated_at": at(10, 1),
    }
