"""Commands for who writes definitions."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pipelines.cli.cohort_files import gallery, schema, validate
from pipelines.cohorts.language.json_schema import json_schema


@pytest.fixture
def run(workspace):
    return lambda command, *arguments: CliRunner().invoke(command, [str(each) for each in arguments], obj=workspace)


@pytest.fixture
def wrong(tmp_path):
    file = tmp_path / "loyal.yaml"
    file.write_text(
        "id: loyal\nsubject: customer\ndescription: x\nparams:\n  n: {value: 3, unit: count}\n"
        "rule:\n  all:\n    - {value: {count: ordr}, at_least: $n}\n    - {cohort: lapsed_shoper}\n"
    )
    return file


def test_validate_says_every_problem_with_file_place_and_fix(run, wrong):
    done = run(validate, wrong)
    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        f"{wrong}: rule.all.0.value.count: 'ordr' is not a stream; did you mean 'order'?",
        f"{wrong}: rule.all.1.cohort: 'lapsed_shoper' is not a cohort; did you mean 'lapsed_shopper'?",
    ]
    assert done.stderr == "2 problems in 1 file\n"


def test_validate_as_json(run, wrong):
    done = run(validate, wrong, "--tenant", "acme", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["valid"], found["tenant"]) == (2, False, "acme")
    assert found["problems"][0] == {
        "file": str(wrong),
        "path": "rule.all.0.value.count",
        "problem": "'ordr' is not a stream",
        "fix": "did you mean 'order'?",
    }


def test_what_is_right(run, wrong):
    wrong.write_text(wrong.read_text().replace("ordr", "order").replace("shoper", "shopper"))
    done = run(validate, wrong, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["valid"], found["problems"]) == (0, True, [])
    assert {"loyal", "vip"} <= set(found["cohorts"])
    assert run(validate, "--tenant", "acme").stderr == "29 cohorts are valid\n"


def test_the_schema_is_printed_or_written(run, tmp_path):
    out = tmp_path / "editor" / "cohort.json"
    assert run(schema, "--out", out).exit_code == 0
    assert json.loads(out.read_text()) == json.loads(run(schema).stdout) == json_schema()


def test_the_gallery_shows_a_tenants_own_and_refuses_what_is_wrong(run, wrong, workspace):
    own = workspace.tenants / "acme" / "cohorts"
    own.mkdir()
    (own / "loyal.yaml").write_text(wrong.read_text())
    done = run(gallery, "--tenant", "acme")
    assert done.exit_code != 0 and "'ordr' is not a stream" in str(done.exception)
    (own / "loyal.yaml").write_text(wrong.read_text().replace("ordr", "order").replace("shoper", "shopper"))
    assert "## loyal\n" in run(gallery, "--tenant", "acme").stdout
    assert "## loyal\n" not in run(gallery).stdout
