"""Signals of days taken alone, together or cut anywhere are the same files; late data stops where state is equal."""

from __future__ import annotations

import copy
import shutil
from datetime import timedelta

import pytest

from pipelines.calendar import day_of
from pipelines.signals.run import STEP, advance, run
from pipelines.signals.steps import CHECKS
from tests.signals import retailer
from tests.signals.retailer import DAYS
from tests.signals.test_against_oracle import make_tenant

TABLES = ("signal_snapshots", "signal_windows", "signal_crossings", "signal_metrics")


def files(tenant):
    return {table: tenant.lake.files(table) for table in TABLES if tenant.lake.exists(table)}


def forget(tenant, *, state=True):
    for table in TABLES:
        shutil.rmtree(tenant.lake.root / table, ignore_errors=True)
    if state:
        shutil.rmtree(tenant.state, ignore_errors=True)


@pytest.mark.parametrize(
    ("seed", "zone", "cuts"), [(4, "Europe/London", (1, 1, 9, 1, 2, 1)), (5, "Asia/Kolkata", (4, 8, 3))]
)
def test_days_taken_alone_or_together_are_equal(tmp_path, seed, zone, cuts):
    tenant = make_tenant(tmp_path, zone)
    retailer.write(tenant, retailer.make(tenant.zone, seed))
    run(tenant, DAYS)
    whole = files(tenant)
    for check in CHECKS:
        result = check.run(tenant, DAYS)
        assert result.passed and result.evidence["compared"], result
    forget(tenant)
    place = 0
    for taken in cuts:
        run(tenant, DAYS[place : place + taken])
        place += taken
    assert place == len(DAYS) and files(tenant) == whole
    forget(tenant)
    run(tenant, DAYS[-2:])
    assert tenant.lake.files("signal_snapshots") == {day: whole["signal_snapshots"][day] for day in DAYS[-2:]}


def test_late_data_is_computed_forward_until_the_state_is_what_it_was(tmp_path):
    tenant = make_tenant(tmp_path / "late", "Europe/London")
    shop = retailer.make(tenant.zone, 6)
    retailer.write(tenant, shop)
    run(tenant, DAYS)

    late = copy.deepcopy(shop)
    start = day_of(DAYS[4], tenant.zone).start
    known = min(m["measured_at"] for m in late.stock if m["product_id"] == "p1")
    assert known < start
    late.stock += [
        {
            **late.stock[0],
            "external_id": f"late{n}",
            "product_id": "p1",
            "outlet_id": "o1",
            "group_id": None,
            "measured_at": start + timedelta(hours=5 + n, microseconds=3),
            "available": much,
            "inbound_at": None,
        }
        for n, much in enumerate((0, 4000))
    ]
    late.acts.append(("views", "p2", start + timedelta(hours=3), "v1"))
    retailer.write(tenant, late)
    commits = advance(tenant, [DAYS[4]], DAYS[5:])
    fresh = make_tenant(tmp_path / "fresh", "Europe/London")
    retailer.write(fresh, late)
    run(fresh, DAYS)
    assert files(tenant) == files(fresh)
    assert set(commits["signal_crossings"].rows) >= {DAYS[4], DAYS[5]}
    again = advance(tenant, [DAYS[4]], DAYS[5:])
    assert set(again["signal_crossings"].rows) == {DAYS[4]}, "nothing after an equal state is computed again"
    assert (tenant.state / STEP / "links.json").is_file()
