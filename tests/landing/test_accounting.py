"""Rows are counted by tenant day as they land, and the days add up to the batch."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines.landing import store
from pipelines.landing.store import Receipt, load_receipt
from tests.landing.support import customer, event, land, tenant

FIRST, SECOND = date(2026, 7, 1), date(2026, 7, 2)
#: Half an hour before midnight in UTC is the next day in London.
EARLY, LATE = "2026-07-01T10:00:00Z", "2026-07-01T23:30:00Z"


def days(receipt: Receipt) -> list[tuple[date | None, int, int, int, int]]:
    return [(p.date, p.accepted, p.duplicate, p.superseded, p.quarantined) for p in receipt.partitions]


def test_every_outcome_counts_on_the_day_of_its_row(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    records = [
        event(occurred_at=EARLY),
        event(occurred_at=EARLY),
        event(occurred_at=LATE),
        event(external_id="e-2", occurred_at=LATE, channel="pigeon"),
        event(external_id="e-3", occurred_at="soon"),
        event(external_id="e-4", occurred_at="1999-01-01T00:00:00Z"),
        "no JSON",
    ]
    receipt = land(where, "customer_events", records)
    assert days(receipt) == [(None, 0, 0, 0, 3), (FIRST, 0, 1, 1, 0), (SECOND, 1, 0, 0, 1)]
    assert store.quarantine(where, "customer_events")["date"].to_list() == [SECOND, None, None, None]
    older = land(where, "customer_events", [event(occurred_at=EARLY, channel="web"), event(occurred_at=EARLY)])
    assert days(older) == [(FIRST, 0, 1, 1, 0)]


def test_entities_without_days_count_under_none(tmp_path: Path) -> None:
    receipt = land(tenant(tmp_path), "customers", [customer(), customer(), customer(external_id=...)])
    assert days(receipt) == [(None, 1, 1, 0, 1)]


def test_days_add_up_to_the_receipt_and_survive_it(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    stamps = [f"2026-07-0{1 + n % 5}T0{n % 7}:00:00Z" for n in range(60)]
    records = [event(external_id=f"e-{n % 9}", occurred_at=at, step=n % 2) for n, at in enumerate(stamps)]
    receipt = land(where, "customer_events", [*records, *records[:7]])
    for name in ("received", "accepted", "duplicate", "superseded", "quarantined"):
        assert sum(getattr(day, name) for day in receipt.partitions) == getattr(receipt, name)
    stored = where.landing / "customer_events" / f"{receipt.batch_id}.json"
    assert load_receipt(stored).partitions == receipt.partitions
    assert [day.date for day in receipt.partitions] == sorted(receipt.dates)
