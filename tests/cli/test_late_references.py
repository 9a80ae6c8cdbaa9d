"""A tenant whose customers, products and outlets come late: what status says before and after they arrive."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.config import Workspace

DAYS = ("2025-03-01", "2025-03-02", "2025-03-03")
#: Steps whose days do not carry state from one to the next.
PLAIN = ("cart_activity", "customer_orders", "product_daily")


class Murmur:
    """The command line on a home of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self("tenant", "add", "shop", "--timezone", "Europe/London")

    def __call__(self, *words: object) -> str:
        places = ["--home", str(self.root / "home"), "--tenants", str(self.root / "tenants")]
        done = CliRunner().invoke(cli, [*places, *map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    def ingest(self, folder: Path) -> None:
        for file in sorted(folder.glob("*.ndjson")):
            self("ingest", "--tenant", "shop", "--entity", file.stem, file)

    def status(self) -> dict[str, object]:
        return json.loads(self("status", "--tenant", "shop", "--json"))

    def waiting(self) -> pl.DataFrame:
        return Workspace(self.root / "home", self.root / "tenants").tenant("shop").lake.read("unresolved_references")


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> tuple[Murmur, Path]:
    """A tenth of what others refer to stays away; the rest is there and computed."""
    root = tmp_path_factory.mktemp("late")
    murmur, out = Murmur(root), root / "files"
    asked = ["--from", DAYS[0], "--to", DAYS[-1], "--visitors", 60, "--products", 20, "--history-days", 0]
    murmur("simulate", "--tenant", "shop", *asked, "--late", 0.1, "--out", out)
    murmur.ingest(out)
    murmur("run", "--tenant", "shop", "--select", "entities,facts")
    return murmur, out


def test_status_names_what_is_waited_for_until_it_arrives(late):
    murmur, out = late
    table = murmur.waiting()
    told = {row["waits_for"]: row for row in murmur.status()["waiting"]}
    assert {"customers", "products", "outlets"} <= set(told)
    for target, row in told.items():
        mine = table.filter(pl.col("target_entity") == target)
        rows = mine.unique(["entity", "row_id"])
        assert row["missing"] == mine["target_id"].n_unique()
        assert row["rows"] == rows.height
        assert row["oldest"] == mine["since"].min().isoformat().replace("+00:00", "Z")
        money = rows.drop_nulls("blocked_minor").group_by("currency").agg(pl.col("blocked_minor").sum())
        assert row["blocked_minor"] == dict(money.iter_rows())
    assert any(row["blocked_minor"] for row in told.values())
    assert all(row["stale_days"] == 0 for row in murmur.status()["tables"] if row["stage"] in ("entities", "facts"))
    shown = murmur("status", "--tenant", "shop")
    assert "what waits for them" in shown

    # Only products come: the days that named them are stale, and no others.
    named = table.filter((pl.col("target_entity") == "products") & pl.col("date").is_not_null())
    murmur("ingest", "--tenant", "shop", "--entity", "products", out / "late" / "products.ndjson")
    murmur("run", "--tenant", "shop", "--select", "entities")
    stale = {row["table"]: row["stale"] for row in murmur.status()["tables"]}
    touched = {str(day) for day in named["date"].unique()}
    assert touched
    assert any(stale[name] for name in PLAIN)
    assert all(set(stale[name]) <= touched for name in PLAIN), (stale, touched)

    murmur.ingest(out / "late")
    murmur("run", "--tenant", "shop", "--select", "entities,facts")
    settled = murmur.status()
    assert not {"customers", "products", "outlets"} & {row["waits_for"] for row in settled["waiting"]}
    assert all(row["stale_days"] == 0 for row in settled["tables"] if row["stage"] in ("entities", "facts"))
