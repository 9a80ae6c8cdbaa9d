"""``murmur ingest`` and ``murmur quarantine`` as a person and a program use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.ingest import COUNTS
from pipelines.cli.main import main
from pipelines.config import Workspace
from tests.landing.support import event, ndjson


def murmur(workspace: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["--home", str(workspace.home), "--tenants", str(workspace.tenants), *arguments])
    return int(left.value.code or 0)


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_ingest_reports_each_file_and_the_total(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one.ndjson", tmp_path / "two.ndjson"
    one.write_bytes(ndjson([event(), event(external_id=...)]))
    two.write_bytes(ndjson([event(), event(external_id="e-2")]))
    arguments = ["ingest", "--tenant", "acme", "--entity", "customer_events", str(one), str(two)]
    assert murmur(workspace, *arguments, "--json") == 0
    first = capsys.readouterr()
    result = json.loads(first.out)
    assert "murmur quarantine list --tenant acme" in first.err
    assert result["total"] == {"received": 4, "accepted": 2, "duplicate": 1, "superseded": 0, "quarantined": 1}
    assert [file["file"] for file in result["files"]] == ["one.ndjson", "two.ndjson"]
    assert murmur(workspace, *arguments) == 0
    printed = capsys.readouterr()
    assert "total" in printed.out
    assert "one.ndjson: received before; nothing to do" in printed.err
    assert murmur(workspace, "quarantine", "list", "--tenant", "acme", "--json") == 0
    assert [group["reason"] for group in as_json(capsys)] == ["missing_required:external_id"]
    assert murmur(workspace, "quarantine", "replay", "--tenant", "acme", "--json") == 0
    assert [outcome["left"] for outcome in as_json(capsys)] == [1]


@pytest.mark.parametrize(
    ("tenant", "entity", "file", "words"),
    [
        ("nobody", "customers", "rows.ndjson", "tenant 'nobody' is not there"),
        ("acme", "shoes", "rows.ndjson", "there is no entity 'shoes'; entities: customers, "),
        ("acme", "customers", "gone.ndjson", "there is no such file"),
        ("acme", "customers", ".", "is a directory"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    workspace: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tenant: str,
    entity: str,
    file: str,
    words: str,
) -> None:
    (tmp_path / "rows.ndjson").write_bytes(b"")
    assert murmur(workspace, "ingest", "--tenant", tenant, "--entity", entity, str(tmp_path / file)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_folder_lands_by_its_names_and_the_rest_is_named(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sample"
    for key in ("customer_events.ndjson", "customer_events.0002.ndjson", "customer_events/a.ndjson", "truth/a.ndjson"):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(ndjson([event(external_id=key)]))
    assert murmur(workspace, "ingest", "--tenant", "acme", "--dir", str(folder), "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["total"]["accepted"] == 3
    assert printed.err == "skipped folders that are named like no entity, and their files: truth/ (1)\n"
    (folder / "loose.ndjson").write_bytes(b"{}")
    (folder / "truth" / "b.ndjson").write_bytes(b"{}")
    assert murmur(workspace, "ingest", "--tenant", "acme", "--dir", str(folder), "--json") == 0
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].endswith("truth/ (2)")
    assert errors[1] == "left: loose.ndjson: in no folder that is named like an entity"
    assert murmur(workspace, "ingest", "--tenant", "acme", "--dir", str(folder / "gone")) == 2


def test_a_file_that_is_known_by_another_name_is_told_with_both(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for name in ("monday.ndjson", "monday.ndjson", "tuesday.ndjson"):
        (tmp_path / name).write_bytes(ndjson([event()]))
        assert murmur(workspace, "ingest", "--tenant", "acme", "--entity", "customer_events", str(tmp_path / name)) == 0
        printed = capsys.readouterr()
        assert name in printed.out
        told.append(printed.err)
    assert told == [
        "",
        "monday.ndjson: received before; nothing to do\n",
        "tuesday.ndjson: received before as monday.ndjson; nothing to do\n",
    ]


@pytest.mark.parametrize(
    ("name", "data"), [("none.json", b"[]"), ("none.json", b" [ ]\n"), ("none.csv", b"external_id,updated_at\n")]
)
def test_a_file_without_rows_says_so(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    assert murmur(workspace, "ingest", "--tenant", "acme", "--entity", "customers", str(file), "--json") == 0
    printed = capsys.readouterr()
    assert printed.err == f"{name}: 0 rows; nothing to land\n"
    assert json.loads(printed.out)["total"] == dict.fromkeys(COUNTS, 0)


def test_the_inbox_lands_with_the_same_table(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    file = workspace.tenant("acme").inbox / "customer_events" / "a.ndjson"
    file.parent.mkdir(parents=True)
    file.write_bytes(ndjson([event(), event(external_id=...)]))
    assert murmur(workspace, "ingest", "--tenant", "acme", "--inbox", "--json") == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["total"]["accepted"], result["objects"]["landed"], result["failed"]) == (1, 1, [])
    assert result["files"][0]["source"] == "drop"
    assert "murmur quarantine list --tenant acme" in printed.err
    assert murmur(workspace, "ingest", "--tenant", "acme", "--inbox") == 0


@pytest.mark.parametrize(
    "arguments", [[], ["--inbox", "--dir", "."], ["--entity", "customers"], ["a.ndjson"], ["--inbox", "a.ndjson"]]
)
def test_one_way_at_a_time(workspace: Workspace, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert murmur(workspace, "ingest", "--tenant", "acme", *arguments) == 2
    assert "--entity ENTITY FILE..., --dir FOLDER or --inbox" in capsys.readouterr().err
