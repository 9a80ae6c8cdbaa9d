"""Stock in facts and signals equals the invented retailer's own, who reports the web shop and everything together."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipelines.entities.steps import STEPS as ENTITY_STEPS
from pipelines.entities.steps import publish_dimensions
from pipelines.facts.steps import STEPS as FACT_STEPS
from pipelines.flow import execute
from pipelines.freshness import Freshness
from pipelines.landing.ingest import ingest_file
from pipelines.signals.steps import STEPS as SIGNAL_STEPS
from pipelines.simulator import SimulationConfig, simulate, write
from tests.conftest import make_workspace
from tests.entities.landing_files import at, land, record

ENTITIES = ("products", "groups", "outlets", "stock_levels")
CONFIG = SimulationConfig(
    ZoneInfo("Europe/London"), date(2025, 3, 27), date(2025, 4, 2), visitors=60, products=20, seed=3, history_days=0
)
STOCK_STEPS = [
    step
    for step in (*ENTITY_STEPS, *FACT_STEPS, *SIGNAL_STEPS)
    if {"stock_levels", "product_daily", "signal_snapshots"} & {*step.outputs}
]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A tenant with the stock of a simulated week, and the true answers."""
    root = tmp_path_factory.mktemp("stock")
    tenant = make_workspace(root).tenant("acme")
    simulation = simulate(CONFIG)
    files = write(simulation, root / "sample")
    for entity in ENTITIES:
        for file in files[entity]:
            ingest_file(tenant, entity, file, received_at=at("2025-04-03T00:00"))
    publish_dimensions(tenant, ("products", "groups", "outlets", "identity_links"))
    days = Freshness(tenant).available_days()
    for step in STOCK_STEPS:
        execute(step, tenant, days)
    truth = simulation.truth["stock"].select("date", "product_id", "measured_online", "measured_total")
    return tenant, truth.sort("date", "product_id")


def test_the_truth_has_stock_to_count_twice(simulated):
    _, truth = simulated
    assert truth.height == 7 * truth["product_id"].n_unique()
    assert (truth["measured_online"] > 0).sum() > truth.height // 2


def test_stock_of_products_is_the_true_total(simulated):
    tenant, truth = simulated
    daily = tenant.lake.read("product_daily").sort("date", "product_id")
    expected = truth.select("date", "product_id", available_end="measured_total")
    assert daily.select(expected.columns).equals(expected)
    assert daily.filter((pl.col("available_end") > 0) & ~pl.col("in_stock")).is_empty()


def test_stock_of_signals_is_the_true_total(simulated):
    tenant, truth = simulated
    snapshots = tenant.lake.read("signal_snapshots").filter(
        (pl.col("signal_id") == "scarcity_state") & pl.col("place").is_null()
    )
    expected = truth.select("date", "product_id", value=pl.col("measured_total") / 1000)
    found = snapshots.select("date", pl.col("subject").alias("product_id"), "value").sort("date", "product_id")
    assert found.equals(expected)


def test_another_membership_makes_every_day_stale_and_is_added_up_anew(simulated):
    tenant, truth = simulated
    alone = record(
        external_id="group-national", updated_at=at("2025-04-01T09:00"), name="n", kind="national", outlet_ids=[]
    )
    land(tenant, "groups", [alone])
    publish_dimensions(tenant, ("groups",))
    days = truth["date"].unique().sort().to_list()
    for step in STOCK_STEPS[1:]:
        # Who holds whom is taken as it is now, so a change reaches every day.
        assert Freshness(tenant).stale(step, days) == days
        execute(step, tenant, days)
    expected = (truth["measured_online"] + truth["measured_total"]).to_list()
    daily = tenant.lake.read("product_daily", days).sort("date", "product_id")
    assert daily["available_end"].to_list() == expected
    snapshots = tenant.lake.read("signal_snapshots", days).filter(
        (pl.col("signal_id") == "scarcity_state") & pl.col("place").is_null()
    )
    assert snapshots.sort("date", "subject")["value"].to_list() == [each / 1000 for each in expected]
