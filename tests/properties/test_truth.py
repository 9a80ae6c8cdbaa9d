"""The tables agree with the true answers of a simulated week whose records come late, twice, shuffled and broken."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from pipelines import flow
from pipelines.config import Tenant
from pipelines.landing.ingest import ingest_file
from pipelines.simulator.disorder import Disorder
from pipelines.simulator.settings import SimulationConfig
from pipelines.simulator.simulate import Simulation, simulate
from pipelines.simulator.write import write
from tests.properties.tenants import RECEIVED_AT, make_tenant

#: Orders reach back far enough for somebody to be lapsed.
CONFIG = SimulationConfig(
    ZoneInfo("Europe/London"),
    date(2025, 10, 23),
    date(2025, 10, 30),
    80,
    5,
    products=20,
    customers=60,
    history_days=200,
    merged=0.3,
)
COMPUTED = ("entities", "facts", "signals", "cohorts")
DISORDER = Disorder(shuffle=True, duplicate=0.1, delay=0.1, corrupt=0.05, batches=2)


def computed(root: Path) -> tuple[Simulation, Tenant]:
    simulation = simulate(CONFIG)
    tenant = make_tenant(root, parameters="")
    files = write(simulation, root / "files", DISORDER)
    for number in range(DISORDER.batches):
        for entity, paths in files.items():
            ingest_file(tenant, entity, paths[number], received_at=RECEIVED_AT)
    # Orders reach back for more than a year, whose days are not published here.
    flow.run(tenant, select=COMPUTED)
    return simulation, tenant


def spans(tenant: Tenant, cohort: str) -> set[tuple[str, object, object]]:
    """Subject, entry and exit instant (null while in) of every stay, from the transitions."""
    moves = tenant.lake.read("cohort_transitions").filter(pl.col("cohort_id") == cohort)
    ordered = moves.sort("subject", "effective_at", "direction", descending=[False, False, True])
    paired = ordered.with_columns(
        pl.col("effective_at").shift(-1).over("subject").alias("left_at"),
    ).filter(pl.col("direction") == "entered")
    return set(paired.select("subject", "effective_at", "left_at").iter_rows())


def members_at_the_end(tenant: Tenant, cohort: str) -> set[tuple[str, object]]:
    rows = tenant.lake.read("cohort_membership", [CONFIG.last]).filter(
        (pl.col("cohort_id") == cohort) & pl.col("is_member")
    )
    return set(rows.select("subject", "entered_at").iter_rows())


def check_cart_abandoners_to_the_instant(simulation, tenant):
    true = set(simulation.truth["cart_abandoners"].iter_rows())
    assert len(true) > 5
    assert spans(tenant, "cart_abandoner") == true


def check_repeat_purchasers_to_the_instant(simulation, tenant):
    true = set(simulation.truth["repeat_purchasers"].iter_rows())
    merged = set(simulation.entities["customers"]["merged_into"].drop_nulls())
    assert {customer for customer, _, _ in true} & merged
    assert len(true) > 5
    assert spans(tenant, "repeat_purchaser") == true


def check_lapsed_customers_at_the_end(simulation, tenant):
    true = set(simulation.truth["lapsed_customers"].select("customer_id", "entered_at").iter_rows())
    assert len(true) > 1
    assert members_at_the_end(tenant, "lapsed_shopper") == true


def check_units_sold_and_returned(simulation, tenant):
    names = ["date", "product_id", "units_sold", "units_returned"]
    rows = tenant.lake.read("product_daily").filter(pl.col("date") >= CONFIG.first)
    moved = rows.filter((pl.col("purchases") > 0) | (pl.col("units_returned") > 0))
    true = simulation.truth["units_sold"].select(names)
    assert true.height > 10
    assert set(moved.select(names).iter_rows()) == set(true.iter_rows())


def check_sizes_add_up(simulation, tenant):
    sizes = tenant.lake.read("cohort_sizes").sort("cohort_id", "date")
    # Before the first day somebody may have been a member already, by an opt-out for one.
    before = pl.col("size").shift(1).over("cohort_id")
    broken = sizes.filter(pl.col("size") != before + pl.col("entered") - pl.col("exited"))
    assert sizes.height > broken.height + sizes["cohort_id"].n_unique()
    assert broken.is_empty(), broken.to_dicts()


def test_the_true_answers_of_a_simulated_week(tmp_path):
    simulation, tenant = computed(tmp_path)
    check_cart_abandoners_to_the_instant(simulation, tenant)
    check_repeat_purchasers_to_the_instant(simulation, tenant)
    check_lapsed_customers_at_the_end(simulation, tenant)
    check_units_sold_and_returned(simulation, tenant)
    check_sizes_add_up(simulation, tenant)
