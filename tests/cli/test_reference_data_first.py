"""A sender whose first files are reference data: no day exists yet, and what landed can be looked at all the same."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from pipelines.cli.main import cli


def murmur(root: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(root / "home"), "--tenants", str(root / "tenants"), *words])


def answered(root: Path, sql: str) -> list[dict[str, object]]:
    done = murmur(root, "query", "--tenant", "shop", "--json", sql)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_customers_alone_are_folded_and_counted(tmp_path: Path) -> None:
    murmur(tmp_path, "tenant", "add", "shop", "--timezone", "Europe/London")
    nothing = murmur(tmp_path, "run", "--tenant", "shop")
    assert "no records yet" in str(nothing.exception)
    sent = tmp_path / "customers.ndjson"
    sent.write_text('{"external_id":"c-1","updated_at":"2026-01-02T10:00:00Z"}\n{"external_id":"c-2"}\n')
    murmur(tmp_path, "ingest", "--tenant", "shop", "--entity", "customers", str(sent))
    before = murmur(tmp_path, "status", "--tenant", "shop")
    assert "nothing has been received" not in before.output
    done = murmur(tmp_path, "run", "--tenant", "shop")
    assert done.exit_code == 0, done.output
    assert "warning: few_refused does not hold: " in done.stderr
    assert answered(tmp_path, "select external_id from customers") == [{"external_id": "c-1"}]
    assert answered(tmp_path, "select received, accepted, quarantined from batches") == [
        {"received": 2, "accepted": 1, "quarantined": 1}
    ]
    again = murmur(tmp_path, "run", "--tenant", "shop", "--json")
    assert not any(row["table"] for row in json.loads(again.stdout))
