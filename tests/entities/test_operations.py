"""What can be done to a record of several entities: upsert, patch, delete, revive, again, and in any order."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.config import Tenant
from pipelines.entities.steps import STEPS, publish_dimensions
from pipelines.landing import store
from pipelines.storage.hashing import logical_sha256
from schemas.entities import ENTITIES
from tests.landing.support import land, tenant

DAYS = [date(2026, 1, day) for day in range(1, 8)]
LINE = {"line_no": 1, "product_id": "p", "quantity": "1"}
PRICES = dict.fromkeys(("unit_price_minor", "line_gross_minor", "line_net_minor"), 5)
SALE = {"type": "sale", "status": "paid", "channel": "web", "currency": "GBP", "gross_minor": 5, "net_minor": 5}
#: Entity -> what an upsert needs, and two fields that it may have, each with two values.
CASES: dict[str, tuple[dict[str, Any], tuple[str, str, str], tuple[str, str, str]]] = {
    "customers": ({}, ("language", "en", "fr"), ("country", "GB", "FR")),
    "products": (
        {"name": "n", "category_path": "a", "status": "active", "price_minor": 5, "currency": "GBP"},
        ("brand", "a", "b"),
        ("unit", "kg", "each"),
    ),
    "outlets": (
        {"name": "n", "kind": "store", "timezone": "Europe/London", "country": "GB"},
        ("currency", "GBP", "EUR"),
        ("status", "open", "closed"),
    ),
    "links": (
        {"campaign_id": "k", "destination_url": "https://shop.example.com/"},
        ("label", "a", "b"),
        ("channel", "email", "sms"),
    ),
    "transactions": (
        {**SALE, "lines": [{**LINE, **PRICES}]},
        ("payment_method", "card", "cash"),
        ("customer_id", "c1", "c2"),
    ),
}


def at(day: int) -> str:
    return f"2026-01-0{day}T12:00:00Z"


def rows(entity: str) -> list[dict[str, Any]]:
    """Versions of one record, one a day: made, patched twice, deleted, revived, said again, and contradicted."""
    needed, (one, a, b), (two, x, y) = CASES[entity]
    dated = entity == "transactions"

    def version(day: int, **fields: Any) -> dict[str, Any]:
        happened = {"occurred_at": at(day)} if dated and fields.get("op") != "delete" else {}
        return {"external_id": "id", "updated_at": at(day), **happened, **fields}

    made = version(1, **needed, **{one: a, two: x})
    cleared = version(2, op="patch", **{one: None})
    set_again = version(3, op="patch", **{two: y})
    deleted = version(4, op="delete")
    revived = version(5, **needed, **{one: b})
    return [made, cleared, set_again, deleted, revived]


def publish(where: Tenant, entity: str) -> pl.DataFrame:
    if ENTITIES[entity].partitioned:
        next(step for step in STEPS if step.name == entity).run(where, DAYS)
    else:
        publish_dimensions(where, (entity,))
    return where.lake.read(entity)


@pytest.mark.parametrize("entity", CASES)
def test_each_operation_does_what_it_says(tmp_path: Path, entity: str) -> None:
    _, (one, a, b), (two, x, y) = CASES[entity]
    where = tenant(tmp_path)
    seen = []
    for sent in rows(entity):
        land(where, entity, [sent])
        seen.append(publish(where, entity).select(one, two).rows())
    assert seen == [[(a, x)], [(None, x)], [(None, y)], [], [(b, None)]]


@pytest.mark.parametrize("entity", CASES)
def test_any_order_and_batches_leave_one_row_and_all_versions(tmp_path: Path, entity: str) -> None:
    _, (one, a, _), _ = CASES[entity]
    versions = rows(entity)
    contradicted = {**versions[-1], one: a}
    found = set()
    for seed in range(3):
        chance = random.Random(seed)
        where = tenant(tmp_path / str(seed))
        sent = [*versions, contradicted, *chance.sample(versions, 2)]
        chance.shuffle(sent)
        cut = chance.randrange(1, len(sent))
        receipts = [land(where, entity, part, f"{n}.ndjson") for n, part in enumerate((sent[:cut], sent[cut:]))]
        assert sum(receipt.received for receipt in receipts) == len(sent)
        assert sum(receipt.duplicate for receipt in receipts) == 2
        assert sum(receipt.accepted + receipt.superseded for receipt in receipts) == len(versions) + 1
        table = publish(where, entity)
        assert table.height == 1
        kept = store.scan(where, entity).filter(pl.col("order_at").dt.day() == 5).collect()
        assert sorted(kept[one]) == sorted([versions[-1][one], a])
        past = where.lake.read(f"{entity}_history") if not ENTITIES[entity].partitioned else pl.DataFrame()
        assert past.height in (0, len(versions) + 1)
        found.add((logical_sha256(table), logical_sha256(past)))
    assert len(found) == 1
