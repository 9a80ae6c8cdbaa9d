"""A record with a wrong year makes no decades of empty days, and is not forgotten."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipelines import flow
from pipelines.entities.accounts import few_refused
from pipelines.entities.far_days import CHECK
from pipelines.freshness import Freshness
from pipelines.landing.days import days_left_out, stretches
from tests.conftest import make_workspace
from tests.landing.support import event, land


def at(key: str, day: str) -> dict[str, object]:
    return event(external_id=key, occurred_at=f"{day}T12:00:00Z")


def test_a_far_day_is_left_out_until_the_way_there_has_records(tmp_path):
    tenant = make_workspace(tmp_path).tenant("acme")
    land(tenant, "customer_events", [at("old", "2001-01-01"), at("a", "2026-01-01"), at("b", "2026-01-03")])
    land(tenant, "customer_events", [at("far", "2027-02-28")])
    assert Freshness(tenant).available_days() == [date(2026, 1, day) for day in (1, 2, 3)]
    flow.run(tenant, select=["customer_events"])
    assert sorted(tenant.lake.read("customer_events")["external_id"]) == ["a", "b"]
    told = CHECK.run(tenant, [])
    assert not told.passed and not told.blocking
    assert told.evidence == {
        "days": 2,
        "longest_gap_days": 366,
        "first": "2001-01-01",
        "last": "2027-02-28",
        "customer_events": 2,
    }
    land(tenant, "customer_events", [at("c", "2026-06-01")])
    assert days_left_out(tenant) == [date(2001, 1, 1)]
    flow.run(tenant, select=["customer_events"])
    assert sorted(tenant.lake.read("customer_events")["external_id"]) == ["a", "b", "c", "far"]


def test_a_far_day_hides_no_refused_rows(tmp_path):
    tenant = make_workspace(tmp_path).tenant("acme")
    land(
        tenant,
        "customer_events",
        [at("a", "2026-01-01"), at("far", "2099-01-01"), at("b", "2026-01-01") | {"event_name": ""}],
    )
    land(tenant, "customer_events", [at("c", "2026-01-01")])
    flow.run(tenant, select=["ledgers"])
    # As many days, but more records.
    assert Freshness(tenant).available_days() == [date(2026, 1, 1)]
    assert not few_refused(tenant, []).passed


@given(st.sets(st.integers(0, 60)), st.integers(1, 10))
def test_days_are_cut_exactly_where_too_many_are_missing(numbers, gap):
    days = [date(2026, 1, 1) + timedelta(days=n) for n in sorted(numbers)]
    found = stretches(days, gap)
    assert [day for part in found for day in part] == days
    for part in found:
        assert all((after - before).days <= gap + 1 for before, after in pairwise(part))
    assert all((after[0] - before[-1]).days > gap + 1 for before, after in pairwise(found))
