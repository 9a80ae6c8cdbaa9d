"""Demand and stock of products, and equality of a range with single days."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import Tenant
from pipelines.facts import stock as stock_facts
from pipelines.facts.steps import CHECKS, STEPS
from pipelines.storage.hashing import logical_sha256
from tests.entities.landing_files import at, land, make_tenant
from tests.facts.builders import DAYS, event, link, product, run, stock, transaction


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return make_tenant(tmp_path)


def scenario(tenant: Tenant) -> None:
    """A little of everything over three days."""
    land(tenant, "products", [product("p1", "2026-03-01T09:00", 100)])
    land(tenant, "identity_links", [link("v2", "c1", "2026-03-01T09:00")])
    adds = [{"product_id": "p1", "quantity": 3000}, {"product_id": "p2"}]
    rows = [
        event("e1", "Product Viewed", "2026-03-01T10:44", product_id="p1"),
        event("e2", "Product Viewed", "2026-03-01T10:45", product_id="p1"),
        event("e3", "Product Viewed", "2026-03-01T10:50", product_id="p1", flockr_vid=None, customer_id="c1"),
        event("e4", "Product Viewed", "2026-03-01T10:50", product_id="p1", agent_class="bot"),
        event("e5", "Product Added", "2026-03-01T11:50", products=adds),
        event("e6", "Order Completed", "2026-03-02T10:00", order_id="t1"),
    ]
    land(tenant, "customer_events", rows)
    back = [{"line_no": 1, "product_id": "p1", "quantity": 1000, "line_net_minor": 500}]
    sold = [
        transaction("t1", "2026-03-02T10:00", customer_id="c1"),
        transaction("t2", "2026-03-02T10:59", currency="EUR"),
        transaction("r1", "2026-03-03T10:00", type="return", original_transaction_id="t1", lines=back),
    ]
    land(tenant, "transactions", sold)
    measured = [
        stock("p1", "2026-03-01T08:00", 5000, outlet_id="o1"),
        stock("p1", "2026-03-02T08:00", 0, outlet_id="o1"),
        stock("p3", "2026-03-01T08:00", 0),
    ]
    land(tenant, "stock_levels", measured)


def test_hours_count_with_the_last_quarter_apart(tenant: Tenant) -> None:
    scenario(tenant)
    run(tenant)
    names = [
        "product_id",
        "hour",
        "views",
        "views_last_15m",
        "adds",
        "adds_last_15m",
        "purchases",
        "purchases_last_15m",
    ]
    assert tenant.lake.read("product_hourly").select(names).rows() == [
        ("p1", at("2026-03-01T10:00"), 3, 2, 0, 0, 0, 0),
        ("p1", at("2026-03-01T11:00"), 0, 0, 1, 1, 0, 0),
        ("p2", at("2026-03-01T11:00"), 0, 0, 1, 1, 0, 0),
        ("p1", at("2026-03-02T10:00"), 0, 0, 0, 0, 2, 1),
    ]


def test_days_count_demand_sales_and_stock(tenant: Tenant) -> None:
    scenario(tenant)
    run(tenant)
    days = tenant.lake.read("product_daily").drop("adds", "purchases")
    assert days.filter(pl.col("product_id") == "p1").drop("product_id").rows() == [
        (DAYS[0], 3, 2, 0, 0, 0, None, True, 5000),
        (DAYS[1], 0, 0, 4000, 0, 0, None, True, 0),
        (DAYS[2], 0, 0, 0, 1000, 0, None, False, 0),
    ]
    assert days.filter(pl.col("product_id") == "p2").select("date", "in_stock", "available_end").rows() == [
        (DAYS[0], None, None)
    ]
    assert days.filter(pl.col("product_id") == "p3")["in_stock"].to_list() == [False, False, False]
    assert all(check.run(tenant, DAYS).passed for check in CHECKS)


def test_revenue_of_one_currency_is_added(tenant: Tenant) -> None:
    land(tenant, "transactions", [transaction(f"t{n}", "2026-03-01T10:00") for n in range(2)])
    run(tenant)
    assert tenant.lake.read("product_daily").select("revenue_minor", "currency").rows() == [(2000, "GBP")]


def test_single_days_equal_a_range(tmp_path: Path) -> None:
    hashes = []
    for number, runs in enumerate(([DAYS], [[day] for day in DAYS], [DAYS[:1], DAYS[1:]])):
        tenant = make_tenant(tmp_path / str(number))
        scenario(tenant)
        for days in runs:
            run(tenant, days)
        tables = [table for step in STEPS for table in step.outputs]
        hashes.append([logical_sha256(tenant.lake.read(table)) for table in tables])
    assert hashes[0] == hashes[1] == hashes[2]


def test_checks_see_what_does_not_add_up(tenant: Tenant) -> None:
    scenario(tenant)
    run(tenant)
    with tenant.lake.writer("product_daily") as writer:
        writer.put(DAYS[0], tenant.lake.read("product_daily", [DAYS[0]]).with_columns(pl.col("views") + 1))
    with tenant.lake.writer("customer_daily") as writer:
        writer.put(DAYS[1], tenant.lake.read("customer_daily", [DAYS[1]]).with_columns(pl.col("spend_minor") + 1))
    assert [check.run(tenant, DAYS).passed for check in CHECKS] == [False, False]


#: No outlet is in a group; a measurement without a place is of the whole tenant.
APART = pl.DataFrame(schema={"inner": pl.String, "outer": pl.String})
MEASUREMENTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 5), st.integers(0, 2)),
    unique_by=lambda measured: measured[:2],
    max_size=8,
)


@given(MEASUREMENTS, MEASUREMENTS)
def test_stock_equals_a_walk_through_the_day(earlier: list[Any], today: list[Any]) -> None:
    before, during = _frame(earlier, "2026-03-01"), _frame(today, "2026-03-02")
    held = stock_facts.last_by_place(before)
    found = stock_facts.on_day(held, during, APART).select("in_stock", "available_end").rows()
    places: dict[str | None, int] = {}

    def total() -> int:
        return places[None] if None in places else sum(places.values())

    for outlet, _, available in sorted(earlier, key=lambda m: m[1]):
        places[outlet] = available
    seen = [total()] if places else []
    for hour in sorted({measured[1] for measured in today}):
        places.update({outlet: available for outlet, at_hour, available in today if at_hour == hour})
        seen.append(total())
    assert found == ([(any(total > 0 for total in seen), seen[-1])] if seen else [])


def test_of_one_measurement_with_two_ids_the_greater_id_counts() -> None:
    rows = _frame([("a", 1, 7), ("a", 1, 5)], "2026-03-01").with_columns(external_id=pl.Series(["y", "x"]))
    nothing = stock_facts.last_by_place(rows.clear())
    assert stock_facts.last_by_place(rows)["available"].to_list() == [7]
    assert stock_facts.on_day(nothing, rows, APART)["available_end"].to_list() == [7]


def _frame(measured: list[Any], day: str) -> pl.DataFrame:
    rows = [("p", outlet, None, at(f"{day}T0{hour}:00"), f"{hour}", available) for outlet, hour, available in measured]
    types = [pl.String(), pl.String(), pl.String(), pl.Datetime("us", "UTC"), pl.String(), pl.Int64()]
    return pl.DataFrame(rows, schema=dict(zip(stock_facts.COLUMNS, types, strict=True)), orient="row")
