"""Days that are too large for memory are published as if they had been taken whole."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import Tenant
from pipelines.entities import dated, days
from pipelines.entities.steps import customer_events, stock_levels
from tests.entities.landing_files import at, land, make_tenant, record

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]


def events(count: int, at_random: random.Random) -> list[dict[str, Any]]:
    """Events of two days, some of them sent again for another day, patched or taken back."""
    found = []
    for i in range(count):
        day = at_random.choice([1, 2])
        made = {"external_id": f"e{at_random.randrange(count)}", "occurred_at": at(f"2026-03-0{day}T10:{i % 60:02}:00")}
        kind = at_random.random()
        if kind < 0.1:
            found.append(record(**made, op="delete"))
        elif kind < 0.2:
            found.append(record(**made, op="patch", product_id=f"p{i}"))
        else:
            found.append(record(**made, event_name="Product Viewed", session_id=f"s{i}" if i % 7 else None))
    return found


@pytest.mark.parametrize("most_repeated", [0, 1000])
def test_a_day_in_pieces_makes_the_same_file_as_one_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_repeated: int
) -> None:
    tenant = make_tenant(tmp_path)
    at_random = random.Random(5)
    for _ in range(3):
        land(tenant, "customer_events", events(250, at_random))
    customer_events(tenant, DAYS)
    assert tenant.lake.rows("customer_events")[DAYS[0]] > 30
    monkeypatch.setattr(days, "MOST_ROWS", 10)
    monkeypatch.setattr(days, "ROW_GROUP", 5)
    monkeypatch.setattr(dated, "MOST_REPEATED", most_repeated)
    assert_nothing_changes(tenant)


def assert_nothing_changes(tenant: Tenant) -> None:
    again = customer_events(tenant, DAYS)["customer_events"]
    assert (again.changed, again.equal) == ((), tuple(DAYS))
    assert not list((tenant.state / "publishing").rglob("*.arrow"))


def test_stock_inside_products_is_found_for_each_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = make_tenant(tmp_path)
    levels = [
        record(product_id=f"p{i}", outlet_id="o", on_hand=i * 1000, measured_at=at("2026-03-01T10:00:00"))
        for i in range(40)
    ]
    land(tenant, "stock_levels", levels)
    inside = [{"outlet_id": "o", "on_hand": 5000, "measured_at": "2026-03-01T11:00:00Z"}]
    land(
        tenant,
        "products",
        [
            record(external_id=f"p{i}", available_quantity=inside, updated_at=at("2026-03-01T11:00:00"))
            for i in range(9)
        ],
    )
    first = stock_levels(tenant, DAYS)["stock_levels"]
    monkeypatch.setattr(days, "MOST_ROWS", 10)
    monkeypatch.setattr(days, "ROW_GROUP", 5)
    for most_repeated in (0, 1000):
        monkeypatch.setattr(dated, "MOST_REPEATED", most_repeated)
        assert stock_levels(tenant, DAYS)["stock_levels"].equal == tuple(DAYS)
    assert first.rows[DAYS[0]] > 30
