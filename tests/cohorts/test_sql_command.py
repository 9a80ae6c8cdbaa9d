"""What ``murmur cohort sql`` prints runs as it is in ``murmur query``, for every cohort of the catalogue."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from pipelines.cli.cohort_sql import sql
from pipelines.cli.query import run_query
from pipelines.cohorts.catalogue import cohorts
from tests.cohorts.retailer import DAYS, write


@pytest.fixture
def shop(workspace):
    """Two orders of one customer, an opt-out, and a cart left on the second day."""
    tenant = workspace.tenant("acme")
    at = datetime(2026, 10, 23, 12, tzinfo=UTC)
    sale = {"kind": "sale", "customer_id": "c1", "sent_customer_id": "c1", "occurred_at": at, "net_minor": 500,
            "currency": "GBP", "units": 1000, "discount_minor": 0, "channel": "web", "discounted": False,
            "side": "online", "product_ids": "[]"}  # fmt: skip
    orders = [{**sale, "order_id": name, "sale_id": name} for name in ("t1", "t2")]
    write(tenant, "customer_orders", orders, DAYS, "occurred_at")
    step = {"flockr_vid": "v1", "occurred_at": at, "event_id": "e1", "line": 0, "cart_key": "k", "step": "add",
            "product_id": "p1", "quantity": 1000, "unit_price_minor": 900, "currency": "GBP"}  # fmt: skip
    write(tenant, "cart_activity", [step], DAYS, "occurred_at")
    word = {"external_id": "x", "customer_id": "c2", "channel": "sms", "scope": "all", "action": "opt_out",
            "reason": "agent", "occurred_at": at, "updated_at": at}  # fmt: skip
    write(tenant, "opt_outs", [word], None)
    return workspace


def printed(workspace, *arguments):
    return CliRunner().invoke(sql, [*arguments, "--tenant", "acme"], obj=workspace, catch_exceptions=True)


def test_every_cohort_runs_in_query(shop):
    tenant = shop.tenant("acme")
    found = []
    for name in cohorts(tenant):
        text = printed(shop, name, "--as-of", "2026-10-24").output
        assert text.startswith(f"-- {name} at the end of 2026-10-24.\n")
        names, rows = run_query(tenant, text)
        assert names == ["cohort_id", "subject"]
        found += rows
    assert sorted(found) == [
        ["cart_abandoner", "v1"],
        ["new_customer", "c1"],
        ["repeat_purchaser", "c1"],
        ["suppressed:sms", "c2"],
    ]


def test_the_day_before_nobody_is_in(shop):
    text = printed(shop, "repeat_purchaser", "--as-of", "2026-10-22").output
    assert run_query(shop.tenant("acme"), text)[1] == []


def test_json_has_the_same_text(shop):
    text = printed(shop, "new_customer", "--as-of", "2026-10-24").output
    as_json = json.loads(printed(shop, "new_customer", "--as-of", "2026-10-24", "--json").output)
    assert as_json == {"cohort_id": "new_customer", "date": "2026-10-24", "sql": text.rstrip("\n")}


def test_what_is_not_there_is_said(shop):
    assert "'nobody' is not there" in str(printed(shop, "nobody").exception)
    assert "give --as-of" in str(printed(shop, "vip").exception)
