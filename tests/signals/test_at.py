"""States at any instant, metrics of a day and the commands, on one small retailer."""

from __future__ import annotations

import random
from datetime import timedelta

import polars as pl
import pytest
from click.testing import CliRunner

from assets.metadata import day_numbers
from pipelines.calendar import day_of
from pipelines.cli.main import cli
from pipelines.errors import UsageError
from pipelines.signals import at
from pipelines.signals.catalogue import signals
from pipelines.signals.run import run
from tests.conftest import make_workspace
from tests.signals import retailer
from tests.signals.retailer import DAYS


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("at")
    workspace = make_workspace(root)
    file = root / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + "parameters:\n  momentum: {history: 2}\n")
    tenant = workspace.tenant("acme")
    retailer.write(tenant, retailer.make(tenant.zone, 11))
    run(tenant, DAYS)
    return workspace, tenant


def folded(crossings, signal, subject, place, instant, normal, *, strict, ends):
    """The newest crossing that is seen at the instant, by a plain walk."""
    state = normal
    for row in crossings:
        same = (row["signal_id"], row["subject"], row["place"]) == (signal, subject, place)
        when = row["effective_at"]
        seen = when < instant or (when == instant and (not strict or (when, row["date"]) in ends))
        if same and row["suppressed_by"] is None and seen:
            state = row["to_state"]
    return state


@pytest.mark.parametrize("signal", ["momentum", "scarcity_state", "demand_state", "scarcity_risk", "price_change"])
def test_states_at_an_instant_are_the_crossings_folded(shop, signal):
    _, tenant = shop
    definition = signals(tenant)[signal]
    crossings = tenant.lake.read("signal_crossings").sort("date", "effective_at").to_dicts()
    ends = {(day_of(day, tenant.zone).end, day) for day in DAYS}
    own = [row for row in crossings if row["signal_id"] == signal]
    chance = random.Random(3)
    start = day_of(DAYS[1], tenant.zone).start
    asked = [(row["subject"], row["place"], row["effective_at"]) for row in own if row["effective_at"] > start]
    asked += [(s, p, when + timedelta(microseconds=1)) for s, p, when in asked if when < max(ends)[0]]
    asked += [(f"p{chance.randrange(8)}", None, start + timedelta(minutes=chance.randrange(19000))) for _ in range(60)]
    asked = [row for row in asked if row[2] < max(ends)[0]]
    schema = {"subject": pl.String, "place": pl.String, "at": pl.Datetime("us", "UTC")}
    found = at.states(tenant, definition, pl.DataFrame(asked, schema=schema, orient="row"))
    strict = signal in ("scarcity_state", "price_change")
    expected = [folded(own, signal, *row, definition.normal, strict=strict, ends=ends) for row in asked]
    assert len(asked) > 60 and len(set(expected)) > 1
    assert found.select("subject", "place", "at").rows() == asked
    assert found["state"].to_list() == expected


def test_events_say_when_they_are_seen(shop):
    _, tenant = shop
    restocks = at.events(tenant, signals(tenant)["restock_detected"], DAYS)
    assert restocks.height and restocks["seen_after"].all() and set(restocks["state"]) == {"restocked"}
    spikes = at.events(tenant, signals(tenant)["demand_spike"], DAYS)
    assert spikes.height and not spikes["seen_after"].any()


def test_metrics_count_what_was_published(shop):
    _, tenant = shop
    day = DAYS[-1]
    metrics = tenant.lake.read("signal_metrics", [day])
    snapshot = tenant.lake.read("signal_snapshots", [day]).filter(pl.col("place").is_null())
    crossed = tenant.lake.read("signal_crossings", [day]).filter(pl.col("place").is_null())
    states = metrics.filter(pl.col("metric") == "sku_in_state")
    assert states["count"].sum() == snapshot["state"].count()
    assert states.group_by("signal_id").agg(pl.col("share").sum()).filter((pl.col("share") - 1).abs() > 1e-9).is_empty()
    kept, held = (
        metrics.filter(pl.col("metric") == name)["count"].sum() for name in ("signals_crossed", "signals_suppressed")
    )
    assert kept == crossed["suppressed_by"].is_null().sum() and kept + held == crossed.height
    coverage = metrics.filter(pl.col("metric") == "demand_coverage").row(0, named=True)
    assert 0 < coverage["count"] <= coverage["of"] == snapshot["subject"].n_unique()
    numbers = day_numbers(tenant, "signal_metrics", [day])[day]
    assert numbers["demand_coverage"] == 100 * coverage["count"] // coverage["of"]
    assert any(name.startswith("sku_in_state scarcity_state ") for name in numbers)


def test_commands_show_values_and_events(shop):
    workspace, _ = shop
    base = ["--home", str(workspace.home), "--tenants", str(workspace.tenants), "signal"]
    listed = CliRunner().invoke(cli, [*base, "list", "--tenant", "acme", "--json"])
    assert listed.exit_code == 0 and "views_visitors_24h" in listed.output and '"family": "rank"' in listed.output
    shown = CliRunner().invoke(cli, [*base, "show", "scarcity_state", "p1", "--tenant", "acme"])
    assert shown.exit_code == 0 and "o:o1" in shown.output and "to_state" in shown.output
    fired = CliRunner().invoke(cli, [*base, "show", "restock_detected", "p1", "--tenant", "acme", "--json"])
    assert fired.exit_code == 0 and "restocked" in fired.output
    wrong = CliRunner().invoke(cli, [*base, "show", "nothing", "p1", "--tenant", "acme"])
    assert isinstance(wrong.exception, UsageError) and "momentum" in str(wrong.exception)
