"""Days of clicks are computed again for what their clicks use of links between visitors and customers, and no more."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pipelines import flow
from tests.properties.tenants import land_all, tenants
from tests.properties.test_late_changes import FRIDAY, MONDAY, QUIET, SATURDAY, SUNDAY, customer, event, link

CLICKS = [
    event("e1", "Link Clicked", FRIDAY, link_id="l1"),
    event("e2", "Link Clicked", SUNDAY, link_id="l1"),
    event("e3", "Link Clicked", MONDAY, link_id="l1", customer_id="c7"),
    event("e4", "Page Viewed", SATURDAY, customer_id="c2"),
    customer("c2", FRIDAY),
    customer("c7", FRIDAY),
    QUIET,
]


@pytest.mark.parametrize(
    ("late", "days"),
    [
        ([link(FRIDAY, flockr_vid="v2")], []),
        ([link(SATURDAY)], [26]),
        ([customer("c2", SATURDAY, merged_into="c3")], []),
        ([customer("c7", SATURDAY, merged_into="c8")], [27]),
    ],
)
def test_a_late_link_or_merge_reaches_the_clicks_that_use_it(late: list[Any], days: list[int]) -> None:
    with tenants() as (tenant, _):
        land_all(tenant, CLICKS)
        flow.run(tenant)
        land_all(tenant, late)
        outcomes = {outcome.step.name: outcome for outcome in flow.run(tenant)}
        assert outcomes["click_facts"].days == tuple(date(2025, 10, day) for day in days)
