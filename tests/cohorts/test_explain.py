"""Explain says why and why not, with the ids that show it; show prints what was published."""

from __future__ import annotations

import json

import polars as pl
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.cohorts.run import run
from pipelines.signals.run import run as run_signals
from tests.cohorts.retailer import DAYS, write_history


def invoke(workspace, *arguments):
    base = ["--home", str(workspace.home), "--tenants", str(workspace.tenants)]
    result = CliRunner().invoke(cli, [*base, *arguments, "--tenant", "acme", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_explain_and_show(workspace, tenant):
    write_history(tenant, 7, visitors=12)
    run_signals(tenant, DAYS[:4])
    run(tenant, DAYS[:4])
    day = DAYS[3]
    rows = tenant.lake.read("cohort_membership", [day])
    member = rows.filter(pl.col("is_member") & (pl.col("cohort_id") == "cart_abandoner")).row(0, named=True)
    found = invoke(workspace, "cohort", "explain", "cart_abandoner", member["subject"], "--as-of", day.isoformat())
    assert found["is_member"] and found["missing"] is None
    ids = set(tenant.lake.read("cart_activity").filter(pl.col("flockr_vid") == member["subject"])["event_id"])
    assert {row["id"] for row in found["evidence"] if row["kind"] != "order"} <= ids
    assert found["evidence"]

    missing = invoke(workspace, "cohort", "explain", "lapsed_shopper", "nobody", "--as-of", day.isoformat())
    assert not missing["is_member"] and missing["missing"] == "an order"
    once = invoke(workspace, "cohort", "explain", "lapsed_shopper", rows_with_order(tenant), "--as-of", day.isoformat())
    assert "longer absence" in once["missing"]

    listed = {row["cohort_id"]: row["size"] for row in invoke(workspace, "cohort", "list")}
    assert (
        listed["cart_abandoner"] == rows.filter(pl.col("is_member") & (pl.col("cohort_id") == "cart_abandoner")).height
    )
    shown = invoke(workspace, "signal", "show", "scarcity_state", "p0")
    assert shown and shown[0]["date"] == day.isoformat()


def rows_with_order(tenant):
    return tenant.lake.read("customer_orders", DAYS[:4]).filter(pl.col("kind") == "sale")["customer_id"].min()
