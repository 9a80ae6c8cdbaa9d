"""Late data computes exactly the days that it changes, says why, and leaves what a computation from nothing leaves."""

from __future__ import annotations

from datetime import date

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.metadata import work_metadata
from pipelines import changes, flow
from pipelines.cli.run import _print_outcomes, _rows
from pipelines.freshness import Freshness
from tests.properties.digest import differences
from tests.properties.tenants import land_all, tenants
from tests.properties.test_any_order import NIGHTLY
from tests.properties.test_late_changes import (
    ADDED,
    FRIDAY,
    MONDAY,
    SATURDAY,
    SUNDAY,
    event,
    link,
    order,
    product,
    stock,
)

FRI, SAT, SUN, MON = (date(2025, 10, day) for day in (24, 25, 26, 27))
BASE = [
    ADDED,
    event("e2", "Page Viewed", SATURDAY),
    event("e3", "Page Viewed", SUNDAY, flockr_vid="v2"),
    event("e9", "Page Viewed", MONDAY),
    order("t1", SATURDAY, customer_id="c1", outlet_id="o1"),
    order("t2", MONDAY, customer_id="c2"),
    ("stock_levels", stock(FRIDAY, outlet_id="o2")),
    ("stock_levels", stock(SUNDAY, outlet_id="o2", on_hand="9", available="9")),
]
CUSTOMER = ("customers", {"external_id": "c1", "updated_at": MONDAY, "status": "active", "type": "person"})
OUTLET = (
    "outlets",
    {
        "external_id": "o1",
        "updated_at": MONDAY,
        "name": "Shop",
        "kind": "store",
        "timezone": "Asia/Tokyo",
        "country": "JP",
    },
)
DATED = ("customer_events", "transactions", "stock_levels", "event_facts", "order_facts", "product_facts")
#: What comes late; the days that each step computes for it, none for those that are not named; a reason that is given.
LATE = {
    "an event": (
        event("e5", "Page Viewed", SATURDAY, flockr_vid="v3"),
        {"customer_events": [SAT], "event_facts": [SAT], "order_facts": [SAT], "product_facts": [SAT]},
        ("event_facts", "late rows: customer_events"),
    ),
    "a product": (
        product(MONDAY, 400),
        {"event_facts": [FRI], "order_facts": [FRI, SAT, MON], "product_facts": [FRI, SUN]},
        ("event_facts", "reference arrived: products"),
    ),
    "a customer": (
        CUSTOMER,
        {"order_facts": [SAT]},
        ("order_facts", "reference arrived: customers"),
    ),
    "an outlet": (
        OUTLET,
        {"transactions": [SAT], "order_facts": [SAT]},
        ("transactions", "reference changed: outlets"),
    ),
    "an identity link": (
        link(FRIDAY),
        {"order_facts": [SAT]},
        ("order_facts", "reference changed: identity_links"),
    ),
    "a measurement that a later one overtakes": (
        ("stock_levels", stock(SATURDAY, outlet_id="o2", on_hand="1", available="1")),
        {"stock_levels": [SAT], "product_facts": [SAT, SUN]},
        ("product_facts", "state before differs"),
    ),
}


@pytest.mark.parametrize("name", LATE)
def test_exactly_the_days_that_change_are_computed(name):
    late, expected, (step, why) = LATE[name]
    with tenants(1) as (tenant,):
        land_all(tenant, BASE)
        flow.run(tenant)
        land_all(tenant, [late])
        outcomes = {outcome.step.name: outcome for outcome in flow.run(tenant)}
        assert {each: list(outcomes[each].days) for each in DATED if outcomes[each].days} == expected
        assert any(why in text for text in outcomes[step].work.reasons.values()), outcomes[step].work.reasons
        freshness = Freshness(tenant)
        days = freshness.available_days()
        assert not [each.name for each in flow.STEPS if freshness.stale(each, days)]


def test_what_changed_is_counted():
    with tenants(1) as (tenant,):
        land_all(tenant, BASE)
        flow.run(tenant)
        land_all(tenant, [event("e5", "Page Viewed", SATURDAY), event("e2", "Cart Viewed", SUNDAY)])
        outcomes = {outcome.step.name: outcome for outcome in flow.run(tenant)}
        changes = outcomes["customer_events"].work.changes["customer_events"]
        assert {day: (each.added, each.changed, each.removed) for day, each in changes.items()} == {
            SAT: (1, 0, 1),
            SUN: (1, 0, 0),
        }


# An example is eight runs of the whole pipeline; each piece has a test of its own above.
@settings(max_examples=20 if NIGHTLY else 2)
@given(st.permutations(sorted(LATE)), st.lists(st.booleans(), min_size=len(LATE), max_size=len(LATE)))
def test_pieces_in_any_order_with_runs_between_give_what_one_run_gives(names, runs):
    with tenants() as (patched, straight):
        land_all(patched, BASE)
        flow.run(patched)
        for name, now in zip(names, runs, strict=True):
            land_all(patched, [LATE[name][0]])
            if now:
                flow.run(patched)
        flow.run(patched)
        assert not any(outcome.commits for outcome in flow.run(patched))
        land_all(straight, [*BASE, *(late for late, _, _ in LATE.values())])
        flow.run(straight)
        assert not differences(patched, straight)


def test_where_only_numbers_of_rows_are_compared_it_is_said(monkeypatch):
    monkeypatch.setattr(changes, "ROWS_OF_PARTITION", 0)
    with tenants(1) as (tenant,):
        land_all(tenant, BASE)
        flow.run(tenant, select=["customer_events"])
        # The event stays on its day, so that the number of rows does as well.
        land_all(tenant, [event("e2", "Cart Viewed", SATURDAY)])
        (outcome,) = flow.run(tenant, select=["customer_events"])
        assert outcome.work.changes["customer_events"][SAT] == changes.RowChanges(0, 1, 0, exact=False)
        told = work_metadata(outcome.work, "customer_events", SAT)
        assert (told["rows_changed"], told["rows_changed_exact"]) == (1, False)
        (row,) = _rows(outcome)
        assert (row["rows_changed"], row["rows_changed_exact"]) == (1, False)
        assert ">= 1" in printed(row)


def printed(row):
    with CliRunner().isolation() as (out, *_):
        _print_outcomes([row])
        return out.getvalue().decode()
