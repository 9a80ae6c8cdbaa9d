"""Clicks on links: whose they are, and for which campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.config import Tenant
from pipelines.entities.steps import publish_dimensions
from tests.entities.landing_files import at, land, make_tenant, record
from tests.facts.builders import event, link, run


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return make_tenant(tmp_path)


def click(when: str, **values: Any) -> dict[str, Any]:
    return event(f"e{when}", "Link Clicked", f"2026-03-{when}", **{"link_id": "l1", **values})


def clicked(tenant: Tenant, rows: list[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    land(tenant, "customer_events", rows)
    publish_dimensions(tenant, ("links", "customers"))
    run(tenant)
    return tenant.lake.read("link_clicks").sort("occurred_at").select(columns).rows()


def test_bots_and_other_events_are_left_out(tenant: Tenant) -> None:
    rows = [
        click(f"01T10:0{place}", agent_class=agent) for place, agent in enumerate((None, "human", "unknown", "bot"))
    ]
    rows.append(event("other", "Product Viewed", "2026-03-01T11:00", link_id="l1"))
    assert len(clicked(tenant, rows, "event_id")) == 3


def test_the_campaign_is_the_events_else_the_one_that_the_link_had_then(tenant: Tenant) -> None:
    told = {"external_id": "l1", "destination_url": "https://shop.example.com/"}
    versions = [("2026-03-02T09:00", "k1"), ("2026-03-02T12:00", "k2")]
    land(tenant, "links", [record(updated_at=at(when), campaign_id=key, **told) for when, key in versions])
    rows = [click(when) for when in ("01T10:00", "02T11:59", "02T12:00")]
    rows += [click("03T10:00", campaign_id="own"), click("03T11:00", link_id="l2"), click("03T12:00", link_id=None)]
    found = clicked(tenant, rows, "campaign_id", "link_id")
    assert found == [("k1", "l1"), ("k1", "l1"), ("k2", "l1"), ("own", "l1"), (None, "l2"), (None, None)]


def test_a_click_is_of_the_customer_named_or_linked_before_it_whoever_that_became(tenant: Tenant) -> None:
    land(tenant, "identity_links", [link("v1", "c1", "2026-03-01T10:00"), link("v1", "c2", "2026-03-02T10:00")])
    merged = record(external_id="c2", updated_at=at("2026-03-03T10:00"), merged_into="c9")
    land(tenant, "customers", [record(external_id="c2", updated_at=at("2026-03-01")), merged])
    rows = [click(when) for when in ("01T10:00", "01T10:01", "02T10:00", "02T10:01", "03T10:00", "03T10:01")]
    rows += [
        click("03T11:00", customer_id="c2"),
        click("03T12:00", customer_id="c1", flockr_vid=None),
        click("03T13:00", customer_id="c8", flockr_vid=None),
    ]
    assert clicked(tenant, rows, "flockr_vid", "customer_id") == [
        ("v1", None),
        ("v1", "c1"),
        ("v1", "c1"),
        ("v1", "c2"),
        ("v1", "c2"),
        ("v1", "c9"),
        ("v1", "c9"),
        ("v1", "c1"),
        (None, "c8"),
    ]
