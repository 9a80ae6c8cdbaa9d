"""What cohorts show in their context is what visitors' signals say: one definition, for members and everybody else."""

from __future__ import annotations

import json

import polars as pl
import pytest

from pipelines.calendar import days_between
from pipelines.cohorts.history.publish import run as run_cohorts
from pipelines.visitor_signals.checks import CHECKS
from pipelines.visitor_signals.run import run
from tests.cohorts.tables_cases import tables_case
from tests.cohorts.test_engine_against_sql import PARAMETERS, publish
from tests.conftest import make_workspace

#: Cohort -> name in its context -> signal.
SHARED = {
    "scarcity_responsive_shopper": ("lift", "scarcity_lift"),
    "discount_responsive": ("discount_share", "discount_share"),
    "serial_returner": ("return_rate", "return_rate"),
}


#: Parameters with which nearly everybody is a member, so that there is something to compare.
LOOSE = {
    "scarcity_responsive_shopper": "{window: 14d, viewed: 0, viewed_exit: 0, converted: 0, lift: 0.2, lift_exit: 0.1}",
    "discount_responsive": "{window: 14d, orders: 1, share: 1, share_exit: 0}",
    "serial_returner": "{window: 14d, orders: 1, share: 1, share_exit: 0}",
    "category_affinity": "{window: 7d, events: 1, share: 1, share_exit: 1}",
    "rfm_champion": "{window: 14d, buyers: 2, history: 2d}",
}


def loosened():
    """``PARAMETERS`` with those of ``LOOSE`` in their place."""
    lines = [line for line in PARAMETERS.splitlines() if line.strip().split(":")[0] not in LOOSE]
    return "\n".join([*lines, *(f"  {name}: {value}" for name, value in LOOSE.items())]) + "\n"


@pytest.fixture(scope="module", params=[3, 8])
def shop(request, tmp_path_factory):
    """Membership and signals of some weeks."""
    root = tmp_path_factory.mktemp("shop")
    workspace = make_workspace(root)
    file = root / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + loosened())
    tenant = workspace.tenant("acme")
    tables, days = tables_case(request.param, reach=14)
    span = days_between(publish(tenant, tables), days[-1])
    run_cohorts(tenant, span)
    run(tenant, span)
    return tenant, span


def rows(tenant, signal, *columns):
    return tenant.lake.scan("visitor_signal_snapshots").filter(pl.col("signal_id") == signal).select(columns).collect()


def members(tenant):
    return tenant.lake.scan("cohort_membership").filter(pl.col("is_member")).collect()


@pytest.mark.parametrize("cohort", SHARED)
def test_values_are_those_of_the_cohorts(shop, cohort):
    name, signal = SHARED[cohort]
    values = {(day, who): value for day, who, value in rows(shop[0], signal, "date", "subject", "value").iter_rows()}
    compared = 0
    inside = members(shop[0]).filter(pl.col("cohort_id") == cohort).select("date", "subject", "context")
    for day, who, text in inside.iter_rows():
        shown = json.loads(text)
        if (day, who) not in values:
            # Nothing of what the lift is made of is left, though nothing says that they leave either.
            assert signal == "scarcity_lift" and not any(shown[key] for key in ("n_s", "n_n", "k_s", "k_n"))
        else:
            assert shown[name] == pytest.approx(values[day, who], abs=1e-6)
            compared += 1
    assert compared > 5


def test_the_vector_holds_every_affinity(shop):
    found = rows(shop[0], "category_affinity_vector", "date", "subject", "item", "value")
    values = {tuple(key): value for *key, value in found.iter_rows()}
    inside = members(shop[0]).filter(pl.col("cohort_id").str.starts_with("category_affinity:"))
    for day, who, cohort, text in inside.select("date", "subject", "cohort_id", "context").iter_rows():
        key = (day, who, cohort.removeprefix("category_affinity:"))
        assert json.loads(text)["share"] == pytest.approx(values[key], abs=1e-6)
    assert inside.height > 5
    assert found.group_by("date", "subject").len()["len"].max() <= 5


def test_champions_are_in_the_best_cells(shop):
    cells = rows(shop[0], "rfm_cell", "date", "subject", "state")
    best = {
        (day, who) for day, who, cell in cells.iter_rows() if cell[0] == "5" and cell[1] in "45" and cell[2] in "45"
    }
    champions = pl.col("cohort_id") == "rfm_champion"
    moved = shop[0].lake.scan("cohort_transitions").filter(champions & (pl.col("direction") == "entered")).collect()
    assert set(moved.select("date", "subject").iter_rows()) <= best
    assert best <= set(members(shop[0]).filter(champions).select("date", "subject").iter_rows())
    assert cells.height


def test_the_checks_hold(shop):
    for check in CHECKS:
        result = check.run(*shop)
        assert result.passed and result.evidence["compared"], result
