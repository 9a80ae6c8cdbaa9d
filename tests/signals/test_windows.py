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
from tests.signals import retailer
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


def test_a_window_without_a_column_is_a_row_and_one_that_nobody_asks_for_is_null(tmp_path):
    tenant = make_workspace(tmp_path, "UTC").tenant("acme")
    own = tenant.folder / "signals"
    own.mkdir()
    head = "subject: product\nfamily: popularity\ndescription: d\n"
    (own / "views.yaml").write_text(f"id: views\n{head}measure: {{count: views, windows: [24h, 5h], visitors: true}}\n")
    (own / "velocity.yaml").write_text(f"id: velocity\n{head}measure: {{rate: [views], windows: [24h, 5h]}}\n")
    retailer.write(tenant, retailer.make(tenant.zone, 3))
    run(tenant, retailer.DAYS)
    wide, long = tenant.lake.read("signal_windows"), tenant.lake.read("signal_snapshots")
    assert wide["views_24h"].sum() > 0 and wide["views_visitors_24h"].sum() > 0
    assert wide["views_7d"].null_count() == wide["views_visitors_7d"].null_count() == wide.height
    acts = pl.DataFrame(tenant.lake.read("visitor_acts").filter(pl.col("act") == "view"))
    for day in retailer.DAYS[3::4]:
        end = day_of(day, tenant.zone).end
        inside = acts.filter(pl.col("occurred_at").is_between(end - timedelta(hours=5), end, closed="left"))
        seen = dict(inside.group_by("product_id").agg(pl.col("flockr_vid").n_unique().cast(pl.Float64)).iter_rows())
        rows = long.filter((pl.col("date") == day) & (pl.col("signal_id") == "views_visitors_5h"))
        assert dict(rows.select("subject", "value").iter_rows()) == seen
    shown = every_snapshot(tenant)
    counts, rates = (
        shown.filter(pl.col("signal_id").is_in(ids)).sort("date", "subject", "signal_id")["value"]
        for ids in (["views_24h", "views_5h"], ["velocity_views_24h", "velocity_views_5h"])
    )
    assert len(counts) == len(rates) and 0 < rates.sum() < counts.sum()
