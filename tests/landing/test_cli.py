"""``murmur ingest`` and ``murmur quarantine`` as a person and a program use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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
