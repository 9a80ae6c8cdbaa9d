"""A file that is not saved, computed as of a day: it says what the cohort would be, and leaves everything as it was."""

from __future__ import annotations

import hashlib
import json

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.cohorts.catalogue import SHIPPED
from pipelines.cohorts.history.publish import run
from pipelines.signals.run import run as run_signals
from tests.cohorts.retailer import DAYS, write_history
from tests.conftest import make_workspace

DAY = DAYS[3]
BUYER = """
id: buyer
subject: customer
description: Ordered, and has not lapsed.
params:
  n: {value: 1, unit: count}
rule:
  all:
    - {value: {count: order}, at_least: $n}
    - none: [{cohort: lapsed_shopper}]
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("previews")
    made = make_workspace(folder)
    file = folder / "tenants" / "acme" / "tenant.yaml"
    file.write_text(f"{file.read_text()}\nparameters:\n  vip: {{orders: 1, orders_exit: 1}}\n")
    tenant = made.tenant("acme")
    write_history(tenant, 7, visitors=12)
    run_signals(tenant, DAYS[:4])
    run(tenant, DAYS[:4])
    return made


def invoke(workspace, *arguments):
    base = ["--home", str(workspace.home), "--tenants", str(workspace.tenants), "cohort", "preview"]
    return CliRunner().invoke(cli, [*base, *map(str, arguments), "--tenant", "acme"])


def preview(workspace, file, *arguments):
    done = invoke(workspace, file, "--as-of", DAY, "--json", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), done.stderr


def everything(workspace):
    """Hash of every file that there is."""
    files = sorted(path for path in workspace.home.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def written(folder, text, name="buyer"):
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


def published(workspace, cohort_id):
    rows = workspace.tenant("acme").lake.read("cohort_membership", [DAY])
    return set(rows.filter(pl.col("is_member") & (pl.col("cohort_id") == cohort_id))["subject"])


def test_an_unsaved_rule(workspace, tmp_path):
    before = everything(workspace)
    found, progress = preview(workspace, written(tmp_path, BUYER), "--sample", "3")
    lake = workspace.tenant("acme").lake
    sales = lake.read("customer_orders", DAYS[:4]).filter(pl.col("kind") == "sale")["customer_id"].n_unique()
    assert 3 < found["size"] <= sales
    assert len(found["sample"]) == 3 and all(row["cohort_id"] == "buyer" for row in found["sample"])
    assert all(row["order_count_365"] >= 1 for row in found["sample"])
    shared = {row["cohort_id"]: row for row in found["overlap"]}
    new = published(workspace, "new_customer")
    assert shared["new_customer"] == {
        "cohort_id": "new_customer", "size": len(new), "shared": found["size"],
        "share": 100.0,
    }  # fmt: skip
    assert "lapsed_shopper" not in shared
    assert found["seconds"] > 0 and f"computing buyer as of {DAY}" in progress
    assert everything(workspace) == before


@pytest.mark.parametrize(
    "name", ["cart_abandoner", "high_value_cart_abandoner", "category_affinity", "vip", "high_value_at_risk"]
)
def test_a_file_of_the_catalogue_gives_the_published_members(workspace, name):
    found, _ = preview(workspace, SHIPPED / f"{name}.yaml", "--sample", "1000")
    assert {row["subject"] for row in found["sample"]} == published(workspace, name)
    assert found["size"] == len(published(workspace, name))
    newest = CliRunner().invoke(
        cli,
        ["--home", str(workspace.home), "--tenants", str(workspace.tenants), "cohort", "list", "--tenant", "acme",
         "--json"],
    )  # fmt: skip
    versions = {row["cohort_id"]: row["definition_version"] for row in json.loads(newest.stdout)}
    assert found["definition_version"] == versions[name]


def test_a_changed_parameter_changes_the_size(workspace, tmp_path):
    text = (SHIPPED / "cart_abandoner.yaml").read_text().replace("7d", "12h")
    found, _ = preview(workspace, written(tmp_path, text, "cart_abandoner"))
    as_it_is = published(workspace, "cart_abandoner")
    assert 0 < found["size"] < len(as_it_is)
    own = next(row for row in found["overlap"] if row["cohort_id"] == "cart_abandoner")
    assert (own["size"], own["shared"]) == (len(as_it_is), found["size"])


def test_mistakes_are_said_as_validate_says_them(workspace, tmp_path):
    file = written(tmp_path, BUYER.replace("count: order", "count: ordr"))
    done = invoke(workspace, file)
    assert done.exit_code == 2
    assert f"{file}: rule.all.0.value.count: 'ordr' is not a stream; did you mean 'order'?" in done.stdout.splitlines()
    assert "1 problem in 1 file" in done.stderr


def test_a_day_that_was_not_computed(workspace, tmp_path):
    done = invoke(workspace, written(tmp_path, BUYER), "--as-of", "2027-01-01")
    assert "cohorts of 2027-01-01 were not computed" in str(done.exception)


def test_people_read_tables(workspace, tmp_path):
    done = invoke(workspace, written(tmp_path, BUYER), "--as-of", DAY, "--sample", "0")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "cohort_id buyer" in lines and "members who are in other cohorts" in lines
    assert any(line.startswith("new_customer ") and line.endswith(" 100.0%") for line in lines)
