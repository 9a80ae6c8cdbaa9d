"""Definitions: versions follow the meaning, mistakes name file, path and fix, tenants override parameters."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.cohorts.catalogue import cart_rules, cohorts
from pipelines.errors import UsageError
from pipelines.signals.catalogue import signals
from pipelines.signals.units import DAY, MINUTE, parse


def override(workspace, text):
    file = workspace.tenants / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + text)
    return workspace.tenant("acme")


def test_the_catalogue_loads(tenant):
    found = cohorts(tenant)
    assert len([each for each in found.values() if not each.guard]) == 28, "the catalogue has so many"
    assert [key for key, each in found.items() if each.guard] == ["suppressed"]
    assert "views_15m" in signals(tenant)["views"].signal_ids
    rules = cart_rules(cohorts(tenant))
    assert (rules.silence, rules.ttl, rules.floor) == (30 * MINUTE, 7 * DAY, 20_000)


def test_an_override_makes_a_new_version_of_its_own_and_of_what_names_it(workspace):
    before = cohorts(workspace.tenant("acme"))
    after = cohorts(override(workspace, "parameters:\n  cart_abandoner: {silence: 45m}\n"))
    changed = [key for key in before if before[key].definition_version != after[key].definition_version]
    assert changed == ["cart_abandoned_low_stock", "cart_abandoner", "high_value_cart_abandoner"]
    assert cart_rules(after).silence == 45 * MINUTE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("parameters:\n  cart_abandoner: {silense: 45m}\n", "it has: silence, ttl"),
        ("parameters:\n  cart_abandoner: {silence: 45}\n", "such as 30m"),
        ("parameters:\n  cart_abandonner: {silence: 45m}\n", "no such definition"),
        ("parameters:\n  high_value_cart_abandoner: {floor: 200.5}\n", "whole number of minor"),
    ],
)
def test_wrong_overrides_name_the_place(workspace, text, said):
    with pytest.raises(UsageError, match=r"tenant\.yaml: parameters") as error:
        cohorts(override(workspace, text))
    assert said in str(error.value)


def test_a_wrong_file_names_its_path(workspace):
    folder = workspace.tenants / "acme" / "cohorts"
    folder.mkdir()
    text = "id: loyal\nsubject: customer\ndescription: x\nrule: {value: {count: order, within: $year}, at_least: $n}\n"
    (folder / "loyal.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"loyal.yaml.*\$n is not a parameter; add it to params"):
        cohorts(workspace.tenant("acme"))
    parameters = "params:\n  year: {value: 52w, unit: duration}\n  n: {value: 5, unit: count}\n"
    (folder / "loyal.yaml").write_text(text + parameters)
    assert cohorts(workspace.tenant("acme"))["loyal"].param("year") == 364 * DAY


def test_units_refuse_what_is_not_exact():
    assert parse(1.6, "ratio") == 1600
    for value, unit in [("0m", "duration"), ("1y", "duration"), (1.0005, "ratio"), (-1, "count"), (True, "count")]:
        with pytest.raises(ValueError, match=r"write|whole|decimal"):
            parse(value, unit)


def test_commands_list_and_validate(workspace, tmp_path):
    base = ["--home", str(workspace.home), "--tenants", str(workspace.tenants)]
    listed = CliRunner().invoke(cli, [*base, "cohort", "list", "--tenant", "acme", "--json"])
    assert listed.exit_code == 0 and "repeat_purchaser" in listed.output
    assert CliRunner().invoke(cli, [*base, "cohort", "validate", "--tenant", "acme"]).exit_code == 0
    assert CliRunner().invoke(cli, [*base, "signal", "list", "--tenant", "acme"]).exit_code == 0
