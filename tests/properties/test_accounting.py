"""Nothing is lost on the way in, and what was told is what is true, also when late data undoes it."""

from __future__ import annotations

import json

import polars as pl
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import flow
from pipelines.cli.main import cli
from pipelines.delivery.event_log import latest
from tests.properties.simulated import lines_of
from tests.properties.tenants import land, tenants
from tests.properties.test_any_order import NIGHTLY
from tests.properties.test_late_changes import MONDAY, SATURDAY, event, order

COUNTS = ("accepted", "duplicate", "superseded", "quarantined")


def damaged(lines: list[str]) -> st.SearchStrategy[list[bytes]]:
    """Lines of a file of which some are cut, hold other bytes, or are anything at all."""
    whole = st.sampled_from(lines).map(str.encode)
    cut = st.tuples(whole, st.integers(0, 400)).map(lambda drawn: drawn[0][: drawn[1]])
    spoilt = st.tuples(whole, st.integers(0, 200), st.binary(min_size=1, max_size=3)).map(
        lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] :]
    )
    odd = st.one_of(st.binary(max_size=12), st.just(b"{}"), st.just(b"[]"), st.just(b"null"), st.just(b'{"op":1}'))
    return st.lists(st.one_of(whole, whole, cut, spoilt, odd), max_size=12)


@settings(max_examples=1000 if NIGHTLY else 15)
@given(data=st.data(), entity=st.sampled_from(["customers", "customer_events", "transactions", "products"]))
def test_every_received_row_is_accounted_for(data, entity):
    files = data.draw(st.lists(damaged(lines_of("autumn")[entity]), min_size=1, max_size=2))
    with tenants(1) as (tenant,):
        folder = tenant.home.parent
        paths = []
        for number, lines in enumerate(files):
            paths.append(folder / f"{number}.ndjson")
            paths[-1].write_bytes(b"\n".join(lines))
        result = murmur(tenant, "ingest", "--entity", entity, *map(str, paths))
        for receipt in result["files"]:
            assert receipt["received"] == sum(receipt[name] for name in COUNTS), receipt
        refused = murmur(tenant, "quarantine", "list")
        landed = [receipt for receipt in result["files"] if not receipt["known"]]
        assert sum(group["rows"] for group in refused) == sum(receipt["quarantined"] for receipt in landed)


def murmur(tenant, command, *arguments):
    """A command's result, as a program reads it."""
    places = ["--home", str(tenant.home), "--tenants", str(tenant.folder.parent)]
    outcome = CliRunner().invoke(
        cli, [*places, command, *arguments, "--tenant", tenant.id, "--json"], catch_exceptions=False
    )
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def test_what_late_data_undoes_is_taken_back_once():
    added = event("e1", "Product Added", MONDAY, product_id="p1", cart_id="cart")
    later = event("e2", "Page Viewed", "2025-10-27T23:00:00Z")
    bought = event("e3", "Order Completed", "2025-10-27T10:05:00Z", order_id="t1", customer_id="c1")
    with tenants(1) as (tenant,):
        for entity, record in (added, later, order("t0", SATURDAY, customer_id="c1")):
            land(tenant, entity, [record])
        flow.run(tenant)
        told = tenant.lake.read("event_log").filter(pl.col("cohort_id") == "cart_abandoner")
        assert told.select("kind", "emission").rows() == [("cohort.entered", "sent")]
        land(tenant, bought[0], [bought[1]])
        flow.run(tenant)
        log = tenant.lake.read("event_log")
        undone = log.filter((pl.col("cohort_id") == "cart_abandoner") & (pl.col("kind") == "cohort.entry_retracted"))
        assert undone.select("supersedes", "emission").rows() == [(told["event_id"][0], "sent")]
        believed = set(latest(log).filter("is_true")["transition_id"])
        assert believed == set(tenant.lake.read("cohort_transitions")["transition_id"])
        flow.run(tenant, force=True)
        assert tenant.lake.read("event_log").equals(log)
        assert log["event_id"].is_unique().all()
