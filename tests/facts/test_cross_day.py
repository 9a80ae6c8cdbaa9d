"""What a day's orders depend on beside the day's own rows."""

from __future__ import annotations

from pathlib import Path

from pipelines.facts.cross_day import cross_day_orders
from tests.entities.landing_files import at, land, make_tenant
from tests.facts.builders import DAYS, event, transaction


def test_an_order_over_midnight_ties_two_days(tmp_path: Path) -> None:
    tenant = make_tenant(tmp_path)
    land(tenant, "customer_events", [event("e1", "Order Completed", "2026-03-01T12:00", order_id="t1")])
    land(tenant, "transactions", [transaction("t1", "2026-03-01T12:00"), transaction("t2", "2026-03-02T00:01")])
    assert cross_day_orders(tenant) == {}
    land(tenant, "customer_events", [event("e2", "Order Completed", "2026-03-01T23:59", order_id="t2")])
    tied = cross_day_orders(tenant)
    assert set(tied) == {DAYS[0], DAYS[1]}
    land(
        tenant, "transactions", [transaction("t2", "2026-03-02T00:01", status="cancelled", updated_at=at("2026-03-03"))]
    )
    again = cross_day_orders(tenant)
    assert set(again) == set(tied)
    assert all(again[day] != tied[day] for day in tied)
