"""The example project of dbt runs over real exports, and talks to nobody."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
import yaml

from schemas.exports import CSV_FILES, DATASETS
from tests.readers import shop
from tests.readers.engines import PYTHON, ROOT

PROJECT = ROOT / "docs" / "examples" / "dbt"
PAGE = ROOT / "docs" / "dbt.md"


def dbt(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command of dbt in a copy of the project; telemetry is off as the page says, and every call is written down."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "tests" / "readers" / "offline"),
        "CALLS": str(folder / "calls"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "MURMURATION_S3": str(folder / shop.S3),
        "MURMURATION_GCS": str(folder / shop.GCS),
    }
    arguments = [PYTHON.parent / "dbt", *command.split(), "--no-version-check", "--no-use-colors"]
    return subprocess.run(
        arguments, cwd=folder / "dbt", env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with exports, the project, and what ``dbt build`` said."""
    folder = tmp_path_factory.mktemp("dbt")
    shop.publish(folder)
    shutil.copytree(PROJECT, folder / "dbt")
    return folder, dbt(folder, "build")


def test_it_builds_the_models_and_tests_the_sources(built):
    folder, done = built
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    results = json.loads((folder / "dbt" / "target" / "run_results.json").read_text())["results"]
    kinds = [result["unique_id"].split(".")[0] for result in results]
    assert (kinds.count("model"), kinds.count("test")) == (2, 9)
    assert {result["status"] for result in results} == {"success", "pass"}
    with duckdb.connect(folder / "dbt" / "example.duckdb", read_only=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        members = connection.execute("SELECT cohort_id, external_id, as_of_date::VARCHAR FROM members").fetchall()
        results = connection.execute(
            "SELECT campaign_id, clicked, conversions FROM campaign_results ORDER BY 1"
        ).fetchall()
    assert members == [("lapsed_shopper", "u1", "2026-03-10")]
    assert results == [("c1", 3, 1), ("c2", 1, 1)]


def test_it_calls_nobody(built):
    folder, _ = built
    assert not (folder / "calls").exists(), (folder / "calls").read_text()


def test_a_call_would_have_been_seen(tmp_path):
    """The watch itself works: without it, a silent test would say nothing."""
    environment = {"PYTHONPATH": str(ROOT / "tests" / "readers" / "offline"), "CALLS": str(tmp_path / "calls")}
    program = "import urllib.request; urllib.request.urlopen('http://stats.example.com/', timeout=1)"
    done = subprocess.run([PYTHON, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "stats.example.com" in (tmp_path / "calls").read_text()


def test_a_wrong_size_fails_the_build(built):
    folder, _ = built
    model = folder / "dbt" / "models" / "members.sql"
    written = model.read_text()
    model.write_text(written.replace("where is_member and", "where not is_member and"))
    done = dbt(folder, "build --select +members_are_as_many_as_the_size_says")
    model.write_text(written)
    assert done.returncode == 1
    assert "members_are_as_many_as_the_size_says" in done.stdout


def test_the_sources_are_of_the_contracts():
    for source in yaml.safe_load((PROJECT / "models" / "sources.yml").read_text())["sources"]:
        contracts = DATASETS if source["name"] == "murmuration" else CSV_FILES
        for table in source["tables"]:
            contract = contracts[table["name"]]
            assert table["description"] == contract.description
            assert {column["name"] for column in table.get("columns", [])} <= set(contract.names)


def test_the_page_shows_files_of_the_project():
    shown = re.findall(r"^```(?:yaml|sql)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    files = [path.read_text() for path in PROJECT.rglob("*") if path.suffix in (".yml", ".sql")]
    assert shown
    assert all(block in files for block in shown)
