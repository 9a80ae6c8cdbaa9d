"""Carts explained: as the engine has them, for every visitor and day, with the steps and crossings that show it."""

from __future__ import annotations

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.cli.query import run_query
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.explain.subject import explain
from pipelines.cohorts.history.publish import run
from pipelines.signals.run import run as run_signals
from tests.cohorts.retailer import DAYS, write_history
from tests.conftest import make_workspace

CARTS = ("cart_abandoner", "high_value_cart_abandoner", "cart_abandoned_low_stock")
VISITORS = 8


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    tenant = make_workspace(tmp_path_factory.mktemp("carts")).tenant("acme")
    write_history(tenant, 7, visitors=VISITORS)
    run_signals(tenant, DAYS)
    run(tenant, DAYS)
    return tenant, cohorts(tenant)


def ask(shop, name, subject, date):
    tenant, known = shop
    day = day_of(date, tenant.zone)
    return explain(tenant, known, name, subject, day, lambda sql: run_query(tenant, sql)[1])


def test_members_are_those_of_the_engine(shop):
    tenant, _ = shop
    seen = set()
    for date in DAYS[1::2]:
        rows = tenant.lake.read("cohort_membership", [date]).filter("is_member")
        inside = set(rows.select("cohort_id", "subject").iter_rows())
        for name in CARTS:
            for number in range(VISITORS):
                found = ask(shop, name, f"v{number}", date)
                assert found["is_member"] == ((name, f"v{number}") in inside), (date, found)
                assert found["note"] is None
                seen.add((name, found["is_member"]))
    assert seen == {(name, member) for name in CARTS for member in (True, False)}


def test_steps_and_crossings_are_the_evidence(shop):
    tenant, _ = shop
    day = DAYS[3]
    rows = tenant.lake.read("cohort_membership", [day]).filter("is_member", cohort_id="cart_abandoned_low_stock")
    subject = rows["subject"].sort()[0]
    found = ask(shop, "cart_abandoned_low_stock", subject, day)
    steps = set(tenant.lake.read("cart_activity").filter(pl.col("flockr_vid") == subject)["event_id"])
    crossings = set(tenant.lake.read("signal_crossings")["crossing_id"])
    told = {row["id"] for row in found["evidence"]}
    assert told & steps and told <= steps | crossings
    assert found["evidence_count"] == len(found["evidence"])
    assert found["evidence"] == sorted(found["evidence"], key=lambda row: row["at"], reverse=True)


def test_the_worth_of_a_cart_and_what_it_misses(shop):
    tenant, _ = shop
    day = DAYS[3]
    rows = tenant.lake.read("cohort_membership", [day]).filter("is_member")
    left = rows.filter(cohort_id="cart_abandoner")
    valuable = set(rows.filter(cohort_id="high_value_cart_abandoner")["subject"])
    subject, total = next(
        (row["subject"], row["cart_total_value_minor"])
        for row in left.sort("subject").to_dicts()
        if row["subject"] not in valuable
    )
    found = ask(shop, "high_value_cart_abandoner", subject, day)
    leaf = found["tree"]["parts"][1]
    assert leaf["kind"] == "cart value" and not leaf["holds"]
    assert leaf["value"] >= total
    short = leaf["bound"] - leaf["value"]
    assert leaf["distance"] == f"{short:,} minor units short"
    assert found["missing"] == leaf["says"] and found["missing"].endswith(leaf["distance"])


def test_nobody_has_no_cart(shop):
    found = ask(shop, "cart_abandoner", "nobody", DAYS[3])
    assert (found["is_member"], found["missing"], found["evidence"]) == (False, "no open cart", [])
    assert found["entered_at"] is None and found["left"] is None
