"""``murmur export`` and ``murmur query`` as a person at a shell meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.cli.main import main
from pipelines.config import Tenant
from pipelines.exports.steps import campaign_files, parquet_exports
from tests.exports import retailer as r

CONFIG = (
    "id: shop\ntimezone: Europe/London\nexports: {s3: {bucket: lake, prefix: m}, gcs: {bucket: files, prefix: d}}\n"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Tenant:
    home = tmp_path_factory.mktemp("home")
    shop = r.tenant(home)
    r.fill(shop)
    parquet_exports(shop, r.DAYS, lambda: r.at(11))
    campaign_files(shop, r.DAYS, lambda: r.at(11))
    shop.folder.mkdir(parents=True)
    (shop.folder / "tenant.yaml").write_text(CONFIG)
    return shop


def murmur(shop: Tenant, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["--home", str(shop.home), "--tenants", str(shop.folder.parent), *arguments])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def ask(shop: Tenant, capsys: pytest.CaptureFixture[str], sql: str) -> Any:
    code, out, err = murmur(shop, capsys, "query", "--tenant", "shop", sql, "--json")
    assert code == 0, err
    return json.loads(out)


def test_list(shop: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = murmur(shop, capsys, "export", "list", "--tenant", "shop", "--json")
    rows = json.loads(out)
    assert (code, len(rows)) == (0, 25)
    assert rows[-1]["dataset"] == "campaign_files"
    assert rows[-1]["url"].endswith("/buckets/gcs/files/d/v1/date=2026-03-10")
    assert {(row["revision"], row["reason"]) for row in rows} == {(1, "initial")}


@pytest.mark.parametrize(
    ("path", "partitions"), [("s3/lake/m/v1", 23), ("s3/lake/m/v1/events", 2), ("gcs/files/d/v1/date=2026-03-10/", 1)]
)
def test_verify(shop: Tenant, capsys: pytest.CaptureFixture[str], path: str, partitions: int) -> None:
    code, out, _ = murmur(shop, capsys, "export", "verify", str(shop.home / "buckets" / path), "--json")
    assert code == 0
    assert json.loads(out)["partitions"] == partitions


def test_verify_says_what_is_wrong(shop: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shop.home / "buckets/s3/lake/m/v1/events/date=2026-03-09"
    file = folder / "part-00000.snappy.parquet"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:-1])
        code, out, err = murmur(shop, capsys, "export", "verify", folder.as_uri())
    finally:
        file.write_bytes(whole)
    assert (code, out) == (1, "")
    assert err == "v1/events/date=2026-03-09: part-00000.snappy.parquet: sha256 or size differs from the manifest\n"


@pytest.mark.parametrize("url", ["/nowhere", "/nowhere/v1", "s3x://a/v1"])
def test_verify_of_nothing(shop: Tenant, capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert murmur(shop, capsys, "export", "verify", url)[0] == 2


def test_verify_of_a_day_that_is_not_there(shop: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = murmur(
        shop, capsys, "export", "verify", str(shop.home / "buckets/s3/lake/m/v1/events/date=2020-01-01")
    )
    assert code == 1
    assert "_manifest.json is not there" in err


def test_tables_are_asked_by_name(shop: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ask(
        shop,
        capsys,
        "SELECT date, count(*) AS n, sum(length(event_name)) AS s FROM customer_events GROUP BY 1 ORDER BY 1",
    )
    assert rows == [{"date": "2026-03-09", "n": 5, "s": 64}, {"date": "2026-03-10", "n": 5, "s": 62}]
    joined = ask(
        shop, capsys, "SELECT c.name FROM campaigns_history c JOIN links_history l ON l.campaign_id = c.external_id"
    )
    assert sorted(row["name"] for row in joined) == ["=Spring", "Two"]


def test_times_are_utc(shop: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    [row] = ask(shop, capsys, "SELECT max(occurred_at) AS t, max(occurred_at)::VARCHAR AS s FROM customer_events")
    assert row == {"t": "2026-03-10T11:00:00Z", "s": "2026-03-10 11:00:00+00"}


def test_a_table_without_rows_has_columns(shop: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(shop, capsys, "SELECT count(*) AS n, max(effective_at) AS t FROM event_log") == [{"n": 0, "t": None}]
    assert ask(shop, capsys, "SELECT count(is_deleted) AS n FROM transactions_history") == [{"n": 0}]


def test_history_of_a_dated_entity_is_read_from_committed_batches(
    shop: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shop.landing / "stock_levels"
    folder.mkdir(parents=True)
    for batch, hours in (("aa", (1, 3)), ("bb", (2,)), ("cc", (4,))):
        _split(folder / f"{batch}.parquet", hours)
        if batch != "cc":
            (folder / f"{batch}.json").write_text("{}")
    rows = ask(
        shop,
        capsys,
        "SELECT op, effective_from, effective_to, is_deleted FROM stock_levels_history ORDER BY effective_from",
    )
    assert [(row["op"], row["effective_from"], row["effective_to"], row["is_deleted"]) for row in rows] == [
        ("upsert", "2026-03-09T01:00:00Z", "2026-03-09T02:00:00Z", False),
        ("upsert", "2026-03-09T02:00:00Z", "2026-03-09T03:00:00Z", False),
        ("delete", "2026-03-09T03:00:00Z", None, True),
    ]
    [columns] = ask(shop, capsys, "SELECT * FROM stock_levels_history LIMIT 1")
    assert not {"line_no", "repeat", "id_key", "measured_at__text"} & set(columns)


def _split(path: Path, hours: tuple[int, ...]) -> None:
    from schemas.entities import ENTITIES

    stored = ENTITIES["stock_levels"].schema()
    rows = [{"external_id": "s", "measured_at": r.at(9, hour)} for hour in hours]
    frame = pl.DataFrame([{name: row.get(name) for name in stored} for row in rows], schema=stored)
    frame.with_columns(
        pl.lit("x").alias("measured_at__text"),
        pl.int_range(pl.len()).alias("line_no"),
        pl.lit(False).alias("repeat"),
        pl.lit(0).alias("id_key"),
        pl.when(pl.col("measured_at") == r.at(9, 3)).then(pl.lit("delete")).otherwise(pl.lit("upsert")).alias("op"),
        pl.lit(None, dtype=pl.String).alias("patch_fields"),
        pl.col("measured_at").alias("order_at"),
        pl.col("measured_at").dt.date().alias("date"),
    ).write_parquet(path)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("COPY customers TO '/tmp/x.csv'", "this command only reads"),
        ("CREATE TABLE t AS SELECT 1", "this command only reads"),
        ("SELECT 1; SELECT 2", "this command only reads"),
        ("", "this command only reads"),
        ("SET timezone = 'Asia/Tokyo'", "this command only reads"),
        ("SELECT * FROM read_text('/etc/hostname')", "Permission Error"),
        ("SELECT * FROM nothing_like_that", "tables: batch_partitions, batches, campaign_customers"),
        ("SELEC 1", "Parser Error"),
    ],
)
def test_what_is_refused(shop: Tenant, capsys: pytest.CaptureFixture[str], sql: str, reason: str) -> None:
    code, out, err = murmur(shop, capsys, "query", "--tenant", "shop", sql)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.splitlines()) == 1


def test_wide_rows_are_shown_as_records(shop: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = murmur(shop, capsys, "query", "--tenant", "shop", "SELECT * FROM customer_events ORDER BY 2 LIMIT 1")
    assert code == 0
    assert any(line.split() == ["event_name", "Message", "Sent"] for line in out.splitlines())
