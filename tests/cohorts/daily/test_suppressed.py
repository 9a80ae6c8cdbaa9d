"""What dwell and cooldown hold back is published with the cause, the same by one run and day by day."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.calendar import days_between
from pipelines.cohorts.history.publish import run
from tests.cohorts.retailer import write

DAYS = days_between(date(2026, 5, 4), date(2026, 5, 16))
RULE = """
id: keen
subject: visitor
evaluate: day
description: Looked at something today or the day before.
params:
  window: {value: 2d, unit: duration, description: how far back}
  views: {value: 1, unit: count, description: fewest views}
  dwell: {value: 4d, unit: duration, description: shortest membership}
  cooldown: {value: 3d, unit: duration, description: shortest absence}
rule: {value: {count: view, within: $window}, at_least: $views}
dwell: $dwell
cooldown: $cooldown
"""
#: Days on which the visitor looks: in on the first, held in, out on the sixth, held out on the seventh, in again.
SEEN = (0, 7, 8, 9, 10)


@pytest.fixture
def shop(tenant):
    folder = tenant.folder / "cohorts"
    folder.mkdir(parents=True)
    (folder / "keen.yaml").write_text(RULE)
    acts = [
        {
            "flockr_vid": "v1",
            "occurred_at": datetime(2026, 5, 4, 12, tzinfo=UTC) + timedelta(days=day),
            "act": "view",
            "product_id": "p1",
            "session_id": f"s{day}",
            "count": 1,
        }
        for day in SEEN
    ]
    write(tenant, "visitor_acts", acts, DAYS, "occurred_at")
    return tenant


def told(tenant, table: str, *columns: str) -> list[tuple]:
    rows = tenant.lake.read(table).filter(cohort_id="keen").sort("effective_at")
    return [((row[0] - DAYS[0]).days, *row[1:]) for row in rows.select("date", *columns).iter_rows()]


def test_what_is_held_back_is_kept_with_its_cause(shop):
    run(shop, DAYS)
    moves = told(shop, "cohort_transitions", "direction")
    held = told(shop, "cohort_suppressed", "direction", "suppressed_by", "subject", "subject_type")
    assert moves == [(0, "entered"), (4, "exited"), (7, "entered"), (12, "exited")]
    assert held == [(2, "exited", "dwell", "v1", "visitor")]
    files = shop.lake.files("cohort_suppressed")
    shutil.rmtree(shop.lake.root / "cohort_suppressed")
    shutil.rmtree(shop.state)
    for day in DAYS:
        run(shop, [day])
    assert shop.lake.files("cohort_suppressed") == files


def test_an_entry_is_held_back_until_the_cooldown_is_over(shop):
    (shop.folder / "cohorts" / "keen.yaml").write_text(RULE.replace("value: 3d", "value: 5d"))
    run(shop, DAYS)
    assert told(shop, "cohort_transitions", "direction") == [(0, "entered"), (4, "exited"), (9, "entered")]
    assert told(shop, "cohort_suppressed", "direction", "suppressed_by") == [
        (2, "exited", "dwell"),
        (7, "entered", "cooldown"),
        (12, "exited", "dwell"),
    ]
