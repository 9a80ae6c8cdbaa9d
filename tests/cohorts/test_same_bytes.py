"""A daily run, a backfill in one run, a rerun and a late correction give the same files."""

from __future__ import annotations

import shutil

import polars as pl
import pytest

from pipelines.cohorts.history.publish import run as publish_cohorts
from pipelines.cohorts.history.run import run as run_history
from pipelines.cohorts.steps import CHECKS as COHORT_CHECKS
from pipelines.signals.run import run as run_signals
from pipelines.signals.steps import CHECKS as SIGNAL_CHECKS
from tests.cohorts.retailer import DAYS, write_history
from tests.conftest import make_workspace

TABLES = (
    "signal_snapshots",
    "signal_crossings",
    "cohort_membership",
    "cohort_transitions",
    "cohort_sizes",
    "cohort_suppressed",
    "cohort_membership_history",
)
#: No shipped cohort has a dwell or a cooldown.
FILLED = [table for table in TABLES if table != "cohort_suppressed"]
PARAMETERS = """
parameters:
  cart_abandoner: {ttl: 2d}
  high_value_cart_abandoner: {floor: 10000, partitions: 3}
  repeat_purchaser: {window: 4d}
  lapsed_shopper: {floor: 2d, multiple: 1}
  momentum: {history: 2}
"""


def run_cohorts(tenant, days):
    return {**publish_cohorts(tenant, days), **run_history(tenant, days)}


def make_tenant(root, zone):
    workspace = make_workspace(root, zone)
    file = root / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + PARAMETERS)
    return workspace.tenant("acme")


def files(tenant):
    return {table: tenant.lake.files(table) for table in TABLES}


def forget(tenant, *, state):
    for table in TABLES:
        shutil.rmtree(tenant.lake.root / table)
    if state:
        shutil.rmtree(tenant.state)


@pytest.mark.parametrize(("seed", "zone"), [(1, "Europe/London"), (2, "Asia/Kolkata")])
def test_daily_backfill_and_rerun_are_equal(tmp_path, seed, zone):
    tenant = make_tenant(tmp_path, zone)
    write_history(tenant, seed)
    run_signals(tenant, DAYS)
    run_cohorts(tenant, DAYS)
    whole = files(tenant)
    assert min(tenant.lake.rows(table)[DAYS[-1]] for table in FILLED) > 0
    for check in (*SIGNAL_CHECKS, *COHORT_CHECKS):
        result = check.run(tenant, DAYS)
        assert result.passed and result.evidence["compared"], result

    again = run_cohorts(tenant, DAYS[-1:])
    assert not any(commit.changed for commit in again.values())

    forget(tenant, state=True)
    for day in DAYS:
        run_signals(tenant, [day])
        run_cohorts(tenant, [day])
    assert files(tenant) == whole

    forget(tenant, state=True)
    run_signals(tenant, DAYS[-3:])
    assert tenant.lake.days("signal_snapshots") == DAYS[-3:]
    assert all(tenant.lake.files("signal_snapshots")[day] == whole["signal_snapshots"][day] for day in DAYS[-3:])


def test_a_late_correction_restarts_before_it(tmp_path):
    tenant = make_tenant(tmp_path / "late", "Europe/London")
    write_history(tenant, 3)
    for day in DAYS:
        run_signals(tenant, [day])
        run_cohorts(tenant, [day])
    write_history(tenant, 4)
    run_signals(tenant, DAYS)
    run_cohorts(tenant, DAYS)

    fresh = make_tenant(tmp_path / "fresh", "Europe/London")
    write_history(fresh, 4)
    run_signals(fresh, DAYS)
    run_cohorts(fresh, DAYS)
    assert files(tenant) == files(fresh)


def test_repeat_purchasers_expire_when_the_second_newest_order_is_too_old(tmp_path):
    tenant = make_tenant(tmp_path, "Europe/London")
    write_history(tenant, 1)
    run_signals(tenant, DAYS)
    publish_cohorts(tenant, DAYS)
    rows = tenant.lake.read("cohort_membership").filter(pl.col("is_member"), cohort_id="repeat_purchaser")
    left = tenant.lake.read("cohort_transitions").filter(
        cohort_id="repeat_purchaser", direction="exited", caused_by="expiry"
    )
    assert rows.height and left.height
    assert rows["expires_at"].null_count() == 0
    assert (rows["expires_at"] > rows["entered_at"]).all()
    # Who left by expiry left at the instant that was told the day before.
    told = rows.with_columns((pl.col("date") + pl.duration(days=1)).alias("date")).select(
        "date", "subject", "expires_at"
    )
    joined = left.join(told, on=["date", "subject"])
    assert joined.height and (joined["expires_at"] == joined["effective_at"]).all()
