"""``murmur signal`` tells the signals of products, visitors and customers alike."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pipelines.cli.signal import signal
from pipelines.config import Workspace
from pipelines.visitor_signals.run import run
from tests.visitor_signals.shopfront import DAYS, make, make_tenant, put


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    tenant = make_tenant(root)
    put(tenant, make(1))
    run(tenant, DAYS[:4])
    return Workspace(root / "home", root / "tenants")


def call(shop, *arguments):
    return CliRunner().invoke(signal, arguments, obj=shop)


def test_all_signals_are_listed_with_whom_they_are_about(shop):
    rows = {row["signal"]: row for row in json.loads(call(shop, "list", "--tenant", "acme", "--json").stdout)}
    assert rows["intent_score"]["subject"] == "visitor" and rows["momentum"]["subject"] == "product"
    assert rows["rfm_cell"]["definition_version"] and rows["rfm_cell"]["subject"] == "customer"


def test_a_signal_of_one_visitor_is_shown_newest_day_first(shop):
    rows = json.loads(call(shop, "show", "journey_stage", "v1", "--tenant", "acme", "--json").stdout)
    assert [row["date"] for row in rows] == sorted((row["date"] for row in rows), reverse=True)
    assert {row["signal_id"] for row in rows} == {"journey_stage"} and {row["subject"] for row in rows} == {"v1"}
    assert "deciding" in call(shop, "show", "journey_stage", "v1", "--tenant", "acme").stdout


def test_everything_of_one_subject_on_a_day(shop):
    rows = json.loads(call(shop, "of", "v1", "--tenant", "acme", "--as-of", str(DAYS[2]), "--json").stdout)
    assert {row["date"] for row in rows} == {str(DAYS[2])}
    assert len({row["signal_id"] for row in rows}) > 2
    unknown = call(shop, "of", "nobody", "--tenant", "acme")
    assert unknown.exit_code and "nothing is known of 'nobody'" in str(unknown.exception)


def test_the_page_shows_a_tenants_parameters(shop):
    assert "halves" not in call(shop, "page").stdout
    assert "/ 6h)" in call(shop, "page").stdout and "/ 2h)" in call(shop, "page", "--tenant", "acme").stdout
