"""Numbers of signals that are plotted over partitions: how many are in which state, cells left out."""

from __future__ import annotations

import polars as pl

from assets.metadata import day_numbers
from pipelines.flow import STEPS
from pipelines.visitor_signals.run import STEP, run
from tests.visitor_signals.shopfront import DAYS, make, make_tenant, put


def test_states_of_visitors_are_plotted(tmp_path):
    tenant = make_tenant(tmp_path)
    put(tenant, make(2))
    run(tenant, DAYS)
    numbers = day_numbers(tenant, "visitor_signal_snapshots", DAYS)
    rows = tenant.lake.read("visitor_signal_snapshots", [DAYS[-1]])
    deciding = rows.filter((pl.col("signal_id") == "journey_stage") & (pl.col("state") == "deciding")).height
    assert numbers[DAYS[-1]]["journey_stage deciding"] == deciding > 0
    assert not any(name.startswith("rfm_cell") for found in numbers.values() for name in found)


def test_the_step_is_a_part_of_the_flow():
    step = next(step for step in STEPS if step.name == STEP)
    assert (step.group, step.carries_state) == ("signals", True)
    names = [step.name for step in STEPS]
    assert names.index("product_signals") < names.index(STEP)
