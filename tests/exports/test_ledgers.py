"""Datasets of what we knew and did: each row on its day, without what it must not say, and only where asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import insert

from pipelines.config import Tenant, Workspace
from pipelines.exports.ledgers import attempts_by_day
from pipelines.exports.steps import ledger_exports
from pipelines.freshness import Freshness
from pipelines.storage.control.engine import open_control, writing
from pipelines.storage.control.tables import attempts
from tests.exports import retailer as r

COUNTS: dict[str, object] = dict.fromkeys(
    ("bytes", "received", "accepted", "duplicate", "superseded", "quarantined"), 1
)
COUNTS |= {"source": "file"}
NOW = datetime(2026, 3, 11, 3, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Tenant:
    shop = r.tenant(tmp_path)
    r.fill(shop)
    return shop


def rows(shop: Tenant, dataset: str, day: date = r.DAY) -> pl.DataFrame:
    [path] = (shop.home / "buckets/s3/lake/m/v1" / dataset / f"date={day}").glob("*.parquet")
    return pl.read_parquet(path)


def test_what_waits_lies_on_its_day_or_on_that_of_its_beginning(shop: Tenant) -> None:
    waiting = {"entity": "customer_events", "field": "product_id", "target_entity": "products", "target_id": "p9"}
    dated = {**waiting, "row_id": "e1", "since": r.at(9), "date": r.DAY}
    undated = {**waiting, "entity": "outlets", "row_id": "o1", "since": r.at(9, 23, 30), "date": None}
    r.put(shop, "unresolved_references", dated, undated)
    ledger_exports(shop, r.DAYS, lambda: NOW)
    assert rows(shop, "unresolved_references")["row_id"].to_list() == ["e1"]
    assert rows(shop, "unresolved_references", r.DAYS[0])["row_id"].to_list() == ["o1"]


def test_what_was_refused_has_its_reason_and_nothing_of_the_row(shop: Tenant) -> None:
    refused = {"entity": "customers", "batch_id": "b1", "rule": "required", "reason": "missing_required:external_id"}
    r.put(
        shop,
        "quarantine",
        {**refused, "line_no": 3, "redacted_row": '{"email":"text"}', "date": None, "file": "ann@example.com.csv"},
        {**refused, "line_no": 4, "date": r.DAYS[0]},
    )
    r.put(shop, "batches", {"entity": "customers", "batch_id": "b1", "received_at": r.at(10, 4), **COUNTS})
    ledger_exports(shop, r.DAYS, lambda: NOW)
    found = rows(shop, "quarantine")
    assert found.rows() == [("customers", "b1", 3, "required", "missing_required:external_id")]
    assert rows(shop, "quarantine", r.DAYS[0])["line_no"].to_list() == [4]
    assert all(b"ann@example.com" not in path.read_bytes() for path in shop.home.rglob("v1/**/*") if path.is_file())


def test_attempts_lie_on_the_day_on_which_they_were_made(shop: Tenant) -> None:
    url = Workspace(shop.home, shop.folder.parent).control_url
    with writing(open_control(url)) as connection:
        for number, at in enumerate((r.at(9, 23, 59), r.at(10), r.at(11)), start=1):
            values = {"delivery_id": "d", "tenant": shop.id, "endpoint_id": "e", "event_id": "v", "number": number}
            sent = {"url": "https://example.com/token", "latency_ms": 5, "outcome": "retry", "status": 503}
            micros = int(at.timestamp()) * 1_000_000
            connection.execute(insert(attempts).values(**values, **sent, at=micros))
    ledger_exports(shop, r.DAYS, lambda: NOW)
    assert rows(shop, "webhook_deliveries").select("number", "attempted_at", "status").rows() == [(2, r.at(10), 503)]
    assert "url" not in rows(shop, "webhook_deliveries").columns
    assert set(attempts_by_day(shop)) == {*r.DAYS, date(2026, 3, 11)}


def test_links_are_published_where_they_are_asked_for(shop: Tenant) -> None:
    commits = ledger_exports(shop, r.DAYS, lambda: NOW)
    assert commits["s3_identity_links"].rows == {}
    assert not (shop.home / "buckets/s3/lake/m/v1/identity_links").exists()

    link = {"external_id": "l1", "flockr_vid": "v1", "customer_id": "u1", "resolution_event": "login"}
    r.put(shop, "identity_links", {**link, "occurred_at": r.at(9)})
    exports = shop.config.exports.model_copy(update={"identity_links": True})
    asked = Tenant(shop.config.model_copy(update={"exports": exports}), shop.home, shop.folder)
    ledger_exports(asked, r.DAYS, lambda: NOW)
    found = pl.concat([rows(shop, "identity_links", day) for day in r.DAYS])
    assert found.select("identity_link_id", "customer_id").rows() == [("l1", "u1")]
    assert found.columns == ["identity_link_id", "flockr_vid", "customer_id", "resolution_event", "occurred_at"]


def test_syncs_are_published_on_the_day_on_which_they_ran(shop: Tenant) -> None:
    counts = ("added", "changed", "removed", "unchanged", "rejected", "invalid", "retried", "parked")
    ran = {"sync_id": "s", "run_id": "r1", "mode": "mirror", "started_at": r.at(10), "finished_at": r.at(10, 1)}
    ran |= {"date": r.DAY, "status": "done", "definition_version": "1", "trigger": "manual", **dict.fromkeys(counts, 0)}
    r.put(shop, "sync_runs", ran)
    ledger_exports(shop, r.DAYS, lambda: NOW)
    assert rows(shop, "sync_runs")["run_id"].to_list() == ["r1"]
    assert rows(shop, "sync_runs", r.DAYS[0]).is_empty()
    assert rows(shop, "sync_changelog").is_empty()


def test_a_day_is_stale_when_its_own_rows_change(shop: Tenant) -> None:
    from pipelines import flow

    [step] = [step for step in flow.STEPS if step.name == "ledger_exports"]
    before = Freshness(shop).fingerprints(step, r.DAYS)
    r.put(shop, "batches", {"entity": "customers", "batch_id": "b1", "received_at": r.at(10, 4), **COUNTS})
    refused = {"entity": "customers", "batch_id": "b1", "line_no": 1, "rule": "x", "reason": "y"}
    r.put(shop, "quarantine", {**refused, "date": None})
    after = Freshness(shop).fingerprints(step, r.DAYS)
    assert [day for day in before if before[day] != after[day]] == [str(r.DAY)]
