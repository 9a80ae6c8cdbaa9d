"""The ledgers of what was received add up, by batch, by day, and down to the rows of the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.config import Tenant
from pipelines.entities import accounts, consents, dimension_accounts, ledgers
from pipelines.entities.steps import STEPS
from pipelines.landing import quarantine, times
from tests.landing.support import NOW, customer, event, land, tenant

DAYS = [date(2026, 1, 2), date(2026, 1, 3)]
ON = {day: f"{day}T10:00:00Z" for day in DAYS}


def run(where: Tenant) -> Tenant:
    for step in STEPS:
        step.run(where, DAYS if step.partitioned else [])
    return where


@pytest.fixture
def published(tmp_path: Path) -> Tenant:
    where = tenant(tmp_path)
    land(where, "customer_events", [event(external_id=f"e-{n}", occurred_at=ON[DAYS[n % 2]]) for n in range(6)])
    land(where, "customer_events", [event(external_id="e-0", occurred_at=ON[DAYS[1]], channel="web")])
    gone = [event(external_id=key, op="delete", occurred_at=ON[DAYS[1]]) for key in ("e-1", "never-there")]
    land(where, "customer_events", [*gone, event(external_id="e-9", occurred_at=ON[DAYS[0]], channel="pigeon")])
    return run(where)


def test_ledgers_add_up(published: Tenant) -> None:
    for check in accounts.CHECKS:
        if check.name != "few_refused":
            result = check.run(published, DAYS)
            assert result.passed, (result.name, result.evidence)
    rows = published.lake.scan("customer_events").group_by("date").len().sort("date").collect()["len"].to_list()
    assert rows == [2, 3]
    assert accounts.expected_rows(published, "customer_events", DAYS) == dict(zip(DAYS, rows, strict=True))


def test_a_replayed_row_is_received_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    bad = [event(external_id=f"b-{n}", occurred_at="2026-01-02T10:00:00", timezone="Mars/Base") for n in range(3)]
    first = land(where, "customer_events", [event(), *bad, event(external_id=...)]).batch_id
    unread = land(where, "customer_events", b"\xff\xfe\0\0", "whole.ndjson").batch_id
    before = ledgers.batches(where)
    assert before["replay_of"].null_count() == before.height
    assert before["replayed"].to_list() == [0, 0]
    monkeypatch.setattr(times, "known_zone", lambda name: True)
    monkeypatch.setattr(times, "ZoneInfo", lambda name: times.UTC)
    read = quarantine.payload_of_bytes
    two = "".join(json.dumps(event(external_id=f"w-{n}")) + "\n" for n in range(2)).encode()
    monkeypatch.setattr(
        quarantine, "payload_of_bytes", lambda data, name: read(two if name == "whole.ndjson" else data, name)
    )
    quarantine.replay(where, None, received_at=NOW)
    run(where)
    batches = where.lake.read("batches")
    moved = {row["replay_of"]: row["received"] for row in batches.to_dicts() if row["replay_of"]}
    assert moved == {first: 3, unread: 2}
    own = {row["batch_id"]: row["replayed"] for row in batches.to_dicts() if not row["replay_of"]}
    assert own == {first: 3, unread: 1}
    once = batches.select(
        (pl.col("received") - pl.col("replayed")).sum(),
        pl.sum_horizontal("accepted", "duplicate", "superseded").sum(),
        (pl.col("quarantined") - pl.col("replayed")).sum().alias("waiting"),
    ).row(0)
    assert once == (1 + 3 + 1 + 2, 6, 1)
    result = accounts.counts_add_up(where, DAYS)
    assert result.passed
    assert result.evidence["received"] == 7


def test_a_row_too_many_or_too_few_is_seen(published: Tenant) -> None:
    table = published.lake.read("customer_events").filter(pl.col("date") == DAYS[1])
    for frame in (table.head(2), pl.concat([table, table.head(1).with_columns(external_id=pl.lit("twin"))])):
        with published.lake.writer("customer_events") as writer:
            writer.put(DAYS[1], frame)
        result = accounts.rows_accounted_for("customer_events").run(published, DAYS)
        assert not result.passed
        assert result.evidence["first_day"] == "2026-01-03"


@pytest.mark.parametrize("change", [pl.col("accepted") + 1, pl.col("accepted") - 1])
def test_a_day_that_does_not_add_up_is_seen(published: Tenant, change: pl.Expr) -> None:
    wrong = published.lake.read("batch_partitions").with_columns(change.abs().alias("accepted"))
    with published.lake.writer("batch_partitions") as writer:
        writer.put(None, wrong)
    assert not accounts.days_add_up(published, []).passed
    balanced = wrong.with_columns(received=pl.sum_horizontal("accepted", "duplicate", "superseded", "quarantined"))
    with published.lake.writer("batch_partitions") as writer:
        writer.put(None, balanced)
    assert not accounts.days_add_up(published, []).passed


def test_many_refused_rows_of_the_newest_days_are_told_by_reason(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    bad = [event(external_id=f"b-{n}", occurred_at=ON[DAYS[0]], channel="pigeon") for n in range(2)]
    old = [event(external_id=f"o-{n}", occurred_at="2025-01-01T00:00:00Z", channel="pigeon") for n in range(30)]
    good = [event(external_id=f"g-{n}", occurred_at=ON[DAYS[1]]) for n in range(40)]
    land(where, "customer_events", [*good, *old, *bad])
    fine = accounts.few_refused(run(where), DAYS)
    assert (fine.passed, fine.evidence["received"], fine.evidence["quarantined"]) == (True, 42, 2)
    land(where, "customer_events", [event(external_id="b-9", occurred_at="soon")])
    many = accounts.few_refused(run(where), DAYS)
    assert not many.passed
    assert not many.blocking
    assert many.evidence["customer_events not_in_enum:channel"] == 2
    assert many.evidence["customer_events invalid_timestamp:occurred_at"] == 1


SAID: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ({"status": "opted_out"}, lambda row: row["action"] == "opt_out" and row["scope"] == "all"),
    ({"status": "opted_in", "campaign_id": "k"}, lambda row: row["scope"] == "campaign" and row["campaign_id"] == "k"),
    ({"status": "opted_in", "updated_at": ON[DAYS[0]]}, lambda row: row["occurred_at"].day == 2),
    ({"status": "opted_in"}, lambda row: row["occurred_at"].day == 3),
]


@pytest.mark.parametrize(("consent", "holds"), SAID)
def test_consents_of_customers_are_opt_outs(
    tmp_path: Path, consent: dict[str, Any], holds: Callable[[dict[str, Any]], bool]
) -> None:
    where = tenant(tmp_path)
    silent = {"channel": "sms", "status": "unknown"}
    sent = customer(updated_at=ON[DAYS[1]], consents=[{"channel": "email", **consent}, silent])
    land(where, "customers", [sent])
    land(where, "customers", [{**sent, "tags": ["again"]}])
    found = run(where).lake.read("opt_outs").to_dicts()
    assert len(found) == 1
    assert (found[0]["customer_id"], found[0]["channel"]) == ("c-1", "email")
    assert holds(found[0])


def test_no_customer_no_consent() -> None:
    schema = {"customer_id": pl.String, "order_at": pl.Datetime("us", "UTC"), "consents": pl.String}
    assert consents.entries(pl.DataFrame([], schema=schema)).is_empty()
    empty = pl.DataFrame({"customer_id": ["c"], "order_at": [None], "consents": [json.dumps([])]}, schema=schema)
    assert consents.entries(empty).is_empty()


def stock(**changes: Any) -> dict[str, Any]:
    base = {"product_id": "p", "outlet_id": "o", "on_hand": 5, "reserved": 0, "available": 5}
    return {**base, "measured_at": ON[DAYS[0]], **changes}


def test_stock_on_its_own_and_inside_products_adds_up(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    inside = [{"outlet_id": "o", "on_hand": 4, "measured_at": ON[day]} for day in DAYS]
    product = {"external_id": "p", "name": "n", "category_path": "a", "status": "active", "price_minor": 1}
    land(where, "stock_levels", [stock(), stock(on_hand=6), stock(product_id="q"), stock(product_id="r", op="delete")])
    land(
        where,
        "products",
        [{**product, "currency": "GBP", "updated_at": ON[DAYS[0]], "available_quantity": inside}],
    )
    check = accounts.rows_accounted_for("stock_levels")
    told = check.run(run(where), DAYS)
    assert (told.passed, told.evidence) == (True, {"rows": 3, "expected": 3})
    frame = where.lake.read("stock_levels").filter(pl.col("date") == DAYS[1])
    with where.lake.writer("stock_levels") as writer:
        writer.put(DAYS[1], frame.head(0))
    assert check.run(where, DAYS).evidence["first_day"] == "2026-01-03"


def test_every_version_of_a_dimension_is_accounted_for(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    consent = [{"channel": "email", "status": "opted_out", "updated_at": ON[DAYS[0]]}]
    old, new = customer(consents=consent), customer(updated_at="2026-02-01T00:00:00Z", language="fr")
    land(where, "customers", [new, customer(external_id="c-2", op="delete"), customer(external_id="c-3")])
    land(where, "customers", [old, old, customer(external_id="c-3", op="delete"), customer(external_id="c-4")])
    run(where)
    told = dimension_accounts.rows_accounted_for("customers").run(where, [])
    counts = {"received": 6, "landed": 6, "versions": 6, "ids": 4, "deleted": 2, "history": 6, "rows": 2}
    assert (told.passed, told.evidence) == (True, counts)
    assert dimension_accounts.rows_accounted_for("opt_outs").run(where, []).evidence["rows"] == 1
    for table in ("customers", "customers_history"):
        whole = where.lake.read(table)
        with where.lake.writer(table) as writer:
            writer.put(None, whole.head(whole.height - 1))
        assert not dimension_accounts.rows_accounted_for("customers").run(where, []).passed
        with where.lake.writer(table) as writer:
            writer.put(None, whole)


def test_a_replayed_row_is_refused_no_more(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    short = replace(where, config=where.config.model_copy(update={"last_day": DAYS[0]}))
    land(short, "customer_events", [event(), event(external_id="e-2", occurred_at=ON[DAYS[1]])])
    before = accounts.few_refused(run(where), DAYS)
    assert (before.passed, before.evidence["quarantined"], before.evidence["received"]) == (False, 1, 2)
    assert [each["moved"] for each in quarantine.replay(where, "customer_events", received_at=NOW)] == [1]
    after = accounts.few_refused(run(where), DAYS)
    assert (after.passed, after.evidence) == (True, {"received": 2, "quarantined": 0})
