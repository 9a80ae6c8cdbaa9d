"""A rule that time, other members or a percentile move is looked at for everybody, not only for who did something."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.calendar import days_between
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.daily.decide import is_steady
from pipelines.cohorts.history.publish import run
from tests.cohorts.retailer import write

DAYS = days_between(date(2026, 5, 4), date(2026, 5, 9))
PARAMETER = "{value: 2d, unit: duration, description: of the test}"
RULE = f"""
id: quiet
subject: visitor
evaluate: day
description: Looked at something, and not for a while.
params: {{gap: {PARAMETER}}}
rule: {{value: {{since: view}}, at_least: $gap}}
context: {{since_view: {{since: view}}}}
"""


@pytest.fixture
def shop(tenant):
    folder = tenant.folder / "cohorts"
    folder.mkdir(parents=True)
    (folder / "quiet.yaml").write_text(RULE)
    return tenant


def test_who_does_nothing_enters_in_the_middle_of_a_run_and_reads_anew_each_day(shop):
    act = {"flockr_vid": "v1", "act": "view", "product_id": "p1", "session_id": "s", "count": 1}
    begin = datetime(2026, 5, 4, tzinfo=UTC)
    write(shop, "visitor_acts", [act | {"occurred_at": begin + timedelta(hours=12)}], DAYS, "occurred_at")
    run(shop, DAYS)
    moves = shop.lake.read("cohort_transitions").filter(cohort_id="quiet").select("date", "direction").rows()
    assert moves == [(DAYS[2], "entered")]
    members = shop.lake.read("cohort_membership").filter(cohort_id="quiet").sort("date")
    assert members["date"].to_list() == DAYS[2:]
    assert members["context"].n_unique() == len(DAYS[2:])


def test_which_rules_hold_as_before_for_who_did_nothing(shop):
    by_day = {key: each for key, each in cohorts(shop).items() if each.evaluate == "day"}
    moving = {key for key, each in by_day.items() if not is_steady(each.rule)}
    assert {"quiet", "dormant_visitor", "at_risk_customer", "high_value_at_risk", "vip", "rfm_champion"} <= moving
    assert not moving & {"category_affinity", "high_intent_browser", "full_price_buyer", "momentum_chaser"}
