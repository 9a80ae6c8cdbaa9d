"""Every signal equals a plain simulation, product by product and instant by instant, in two zones."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.signals import windows
from pipelines.signals.catalogue import signals
from pipelines.signals.run import run
from tests.conftest import make_workspace
from tests.signals import retailer
from tests.signals.oracle import DAY, HOUR, Oracle
from tests.signals.retailer import DAYS

PARAMETERS = """
parameters:
  momentum: {history: 2, surging_count: 5, breakout_count: 9}
  lifecycle_state: {launch: 1d, discovery_views: 10, newness: 8d, decline: 5h, established_days: 6}
  category_rank: {fewest: 3}
  category_rank_views: {fewest: 3}
  rank_change: {places: 2}
  rank_change_views: {places: 2}
  price_change: {lookback: 3d}
"""
PARAMS = {
    "momentum": {"history": 2, "surging_count": 5, "breakout_count": 9, "cooldown": 6 * HOUR},
    "demand_spike": {"cooldown": 3 * HOUR},
    "cart_surge": {"cooldown": HOUR},
    "lifecycle_state": {
        "launch": DAY,
        "views": 10,
        "newness": 8 * DAY,
        "decline": 5 * HOUR,
        "days": 6,
        "cooldown": 12 * HOUR,
    },
    "category_rank": {"fewest": 3},
    "category_rank_views": {"fewest": 3},
    "rank_change": {"top": 3, "places": 2, "cooldown": DAY},
    "rank_change_views": {"top": 3, "places": 2, "cooldown": DAY},
    "price_change": {"lookback": 3 * DAY, "cooldown": DAY},
    "demand_state": {"cooldown": 6 * HOUR},
    "scarcity_risk": {},
}


def make_tenant(root, zone):
    workspace = make_workspace(root, zone)
    file = root / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + PARAMETERS)
    return workspace.tenant("acme")


def every_snapshot(tenant):
    """Rows of ``signal_snapshots``, and the counts that are columns of ``signal_windows`` as such rows."""
    days = tenant.lake.days("signal_windows")
    counts = windows.snapshots(tenant.lake, days, signals(tenant)).collect()
    return pl.concat([tenant.lake.read("signal_snapshots"), counts])


def published(tenant):
    """Snapshots and crossings in the oracle's form."""
    rows = every_snapshot(tenant).iter_rows(named=True)
    found = {(r["date"], r["signal_id"], r["subject"], r["place"]): (r["value"], r["state"]) for r in rows}
    crossed = [
        (
            r["signal_id"],
            r["subject"],
            r["place"],
            r["from_state"],
            r["to_state"],
            r["suppressed_by"],
            r["effective_at"],
            r["value_after"],
        )
        for r in tenant.lake.read("signal_crossings").iter_rows(named=True)
    ]
    return found, crossed


@pytest.mark.parametrize(("seed", "zone"), [(1, "Europe/London"), (2, "Asia/Kolkata")])
def test_signals_equal_the_simulation(tmp_path, seed, zone):
    tenant = make_tenant(tmp_path, zone)
    shop = retailer.make(tenant.zone, seed)
    retailer.write(tenant, shop)
    run(tenant, DAYS)
    found, crossed = published(tenant)
    expected = Oracle(shop, DAYS, PARAMS).run()
    for signal in sorted({key[1] for key in (*found, *expected.snapshots)}):
        ours = {key: value for key, value in found.items() if key[1] == signal}
        theirs = {key: value for key, value in expected.snapshots.items() if key[1] == signal}
        assert ours == theirs, signal
    for signal in sorted({row[0] for row in (*crossed, *expected.crossings)}):
        ours, theirs = (sorted((r for r in rows if r[0] == signal), key=str) for rows in (crossed, expected.crossings))
        assert ours == theirs, signal
    assert day_of(DAYS[-1], tenant.zone).end - day_of(DAYS[0], tenant.zone).start >= timedelta(days=15)
