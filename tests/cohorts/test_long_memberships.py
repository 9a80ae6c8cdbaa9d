"""A membership that is made of many parts began with the first of them, however far back a run looks."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.calendar import days_between
from pipelines.cohorts.history.publish import run
from tests.cohorts.retailer import write

DAYS = days_between(date(2026, 3, 22), date(2026, 4, 4))
TABLES = ("cohort_membership", "cohort_transitions", "cohort_sizes", "cohort_suppressed")


def looks_every_day(tenant, visitor: str, days: list[date]) -> list[dict]:
    """Two products at noon of each day, so that the next part begins long before the last one ends."""
    rows = []
    for day in days:
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        for place in range(2):
            rows.append(
                {
                    "flockr_vid": visitor,
                    "occurred_at": at + timedelta(minutes=place),
                    "act": "view",
                    "product_id": f"p{place}",
                    "session_id": f"{visitor}-{day}",
                    "count": 1,
                }
            )
    return rows


@pytest.fixture
def shop(tenant):
    rows = looks_every_day(tenant, "always", DAYS) + looks_every_day(tenant, "twice", [DAYS[0], DAYS[9]])
    write(tenant, "visitor_acts", rows, DAYS, "occurred_at")
    return tenant


def entered(tenant, subject: str) -> list[datetime]:
    rows = tenant.lake.read("cohort_membership").filter(pl.col("is_member"), cohort_id="browse_abandoner")
    return rows.filter(subject=subject).sort("date")["entered_at"].to_list()


def test_backfill_daily_and_one_day_again(shop):
    run(shop, DAYS)
    first = datetime(2026, 3, 22, 12, 31, tzinfo=UTC)
    assert entered(shop, "always") == [first] * len(DAYS)
    assert set(entered(shop, "twice")) == {first, first + timedelta(days=9)}
    whole = {table: shop.lake.files(table) for table in TABLES}
    for table in TABLES:
        shutil.rmtree(shop.lake.root / table)
    shutil.rmtree(shop.state)
    for day in DAYS:
        run(shop, [day])
    assert {table: shop.lake.files(table) for table in TABLES} == whole
    assert not any(commit.changed for commit in run(shop, DAYS[-2:]).values())


def test_a_day_without_the_days_before_looks_back_to_the_begin(shop):
    run(shop, DAYS[-1:])
    assert entered(shop, "always") == [datetime(2026, 3, 22, 12, 31, tzinfo=UTC)]
