"""Counts over windows equal a plain sum over the hours, in a zone whose days do not begin on the hour too."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.signals.run import run
from pipelines.signals.units import HOUR, MINUTE
from tests.cohorts.retailer import DAYS, write, write_products
from tests.conftest import make_workspace
from tests.signals.test_against_oracle import every_snapshot

WINDOWS = {"15m": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "24h": 24 * HOUR, "3d": 72 * HOUR, "7d": 168 * HOUR}


@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Kolkata"])
def test_views_equal_plain_sums(tmp_path, zone):
    tenant = make_workspace(tmp_path, zone).tenant("acme")
    chance = random.Random(5)
    start = day_of(DAYS[0], tenant.zone).start

    def moment():
        return start + timedelta(minutes=30 * chance.randrange(48 * len(DAYS)))

    write_products(tenant, chance, 5, moment)
    write(tenant, "products", [], None)
    run(tenant, DAYS)
    hours = tenant.lake.read("product_hourly")
    found = every_snapshot(tenant)
    for day in DAYS[1::2]:
        end = day_of(day, tenant.zone).end
        instant = end.astimezone(UTC).replace(minute=0)
        for window, width in WINDOWS.items():
            begin = instant - timedelta(microseconds=width)
            column = "views_last_15m" if window == "15m" else "views"
            first = instant - timedelta(hours=1) if window == "15m" else begin
            inside = hours.filter(pl.col("hour").is_between(first, instant, closed="left"))
            sums = dict(inside.group_by("product_id").agg(pl.col(column).sum()).filter(pl.col(column) > 0).iter_rows())
            rows = found.filter((pl.col("date") == day) & (pl.col("signal_id") == f"views_{window}"))
            assert dict(rows.select("subject", "value").iter_rows()) == sums, (day, window)
            rates = found.filter((pl.col("date") == day) & (pl.col("signal_id") == f"velocity_views_{window}"))
            assert dict(rates.select("subject", "value").iter_rows()) == {
                product: count * HOUR / width for product, count in sums.items()
            }
    assert datetime(2026, 10, 25, tzinfo=UTC).date() in DAYS
