"""What must hold of the facts after they were published: they add up to the tables that they roll up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.config import Tenant
from pipelines.step import Check, CheckResult


def orders_add_up(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """The money of customers' days is the money of their orders, per currency."""
    orders = tenant.lake.scan("customer_orders", days).filter(pl.col("customer_id").is_not_null())
    rolled = tenant.lake.scan("customer_daily", days)
    from_orders = int(orders.select(pl.col("net_minor").sum()).collect().item())
    from_days = int(rolled.select((pl.col("spend_minor") - pl.col("returned_minor")).sum()).collect().item())
    return CheckResult(
        "orders_add_up",
        from_orders == from_days,
        "spend less returns of customers' days equals the net of their orders",
        {"orders_minor": from_orders, "days_minor": from_days},
    )


def demand_adds_up(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """A day's views, adds and purchases are the sum of its hours."""
    columns = ["views", "adds", "purchases"]
    hours = tenant.lake.scan("product_hourly", days).select(pl.col(columns).sum()).collect().row(0)
    daily = tenant.lake.scan("product_daily", days).select(pl.col(columns).sum()).collect().row(0)
    return CheckResult(
        "demand_adds_up",
        hours == daily,
        "views, adds and purchases by hour equal those by day",
        {name: int(value) for name, value in zip(columns, daily, strict=True)},
    )


CHECKS: tuple[Check, ...] = (
    Check("customer_daily", "orders_add_up", "Customers' days equal their orders.", orders_add_up),
    Check("product_daily", "demand_adds_up", "Days equal the sum of their hours.", demand_adds_up),
)
