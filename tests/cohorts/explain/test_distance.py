"""By how much a bound is met or missed, what a member may fall to, and which records show it; on tiny stories."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from click.testing import CliRunner

from pipelines.calendar import days_between
from pipelines.cli.main import cli
from pipelines.cohorts.explain.shown import duration, gap
from pipelines.cohorts.history.publish import run
from pipelines.signals.units import DAY, HOUR, MINUTE
from tests.cohorts.retailer import write
from tests.conftest import make_workspace

FIRST, LAST = date(2026, 6, 1), date(2026, 6, 10)
DAYS = days_between(FIRST, LAST)
PARAMETERS = """
parameters:
  vip: {orders: 2, orders_exit: 1, percentile: 60, percentile_exit: 40}
  high_intent_browser: {products: 2, sessions: 1, sessions_exit: 1}
"""


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2026, 6, day, hour, minute, tzinfo=UTC)


def sale(key: str, who: str, when: datetime, money: int = 500) -> dict:
    return {"order_id": key, "kind": "sale", "sale_id": key, "customer_id": who, "sent_customer_id": who,
            "occurred_at": when, "net_minor": money, "currency": "GBP", "units": 1000, "discount_minor": 0,
            "channel": "web", "discounted": False, "side": "online", "product_ids": "[]"}  # fmt: skip


def view(key: str, when: datetime, product: str) -> tuple[dict, dict]:
    """The event and the act that it is."""
    shared = {"flockr_vid": "v1", "occurred_at": when, "session_id": "s1", "product_id": product}
    event = {**shared, "external_id": key, "event_name": "Product Viewed"}
    return event, {**shared, "act": "view", "category": "a", "count": 1}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories")
    made = make_workspace(folder, "UTC")
    file = folder / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + PARAMETERS)
    tenant = made.tenant("acme")
    orders = [sale("t1", "c1", at(3), 300), sale("t2", "c2", at(2), 400), sale("t3", "c2", at(9), 500)]
    orders += [sale("t4", "c3", at(1), 700), sale("t5", "c3", at(10), 100)]
    write(tenant, "customer_orders", orders, DAYS, "occurred_at")
    views = [view(f"e{n}", at(6, 12, n), f"p{n % 4}") for n in range(55)]
    write(tenant, "customer_events", [event for event, _ in views], DAYS, "occurred_at")
    write(tenant, "visitor_acts", [act for _, act in views], DAYS, "occurred_at")
    said = [("x1", at(2), "opt_out"), ("x2", at(7), "opt_in"), ("x3", at(8), "opt_out")]
    words = [
        {"external_id": key, "customer_id": "c1", "channel": channel, "scope": "all", "action": action,
         "reason": "agent", "occurred_at": when, "updated_at": when}
        for channel, chosen in (("email", said[:2]), ("sms", said[2:])) for key, when, action in chosen
    ]  # fmt: skip
    write(tenant, "opt_outs", words, None)
    run(tenant, DAYS)
    return made


def ask(workspace, name: str, subject: str, day: date = LAST) -> dict | str:
    base = ["--home", str(workspace.home), "--tenants", str(workspace.tenants), "cohort", "explain"]
    more = ["--tenant", "acme", "--as-of", day.isoformat(), "--json"]
    done = CliRunner().invoke(cli, [*base, name, subject, *more])
    return str(done.exception) if done.exception else json.loads(done.stdout)


def test_a_count_that_is_one_short(workspace):
    found = ask(workspace, "repeat_purchaser", "c1")
    assert not found["is_member"] and found["note"] is None
    assert found["missing"] == "orders in the last 365 days: 1, needs at least 2: 1 short"
    assert (found["tree"]["value"], found["tree"]["bound"], found["tree"]["distance"]) == (1, 2, "1 short")
    assert found["evidence"] == [{"kind": "order", "id": "t1", "at": "2026-06-03T12:00:00Z", "about": None}]
    assert found["as_of"] == "2026-06-11T00:00:00Z"
    assert ask(workspace, "repeat_purchaser", "c2")["tree"]["distance"] == "just met"


def test_a_time_that_has_to_pass(workspace):
    found = ask(workspace, "one_and_done", "c1")
    first, second = found["tree"]["parts"]
    assert first["holds"] and first["says"] == "orders: 1, needs exactly 1: met"
    assert not second["holds"] and second["value"] == 647_999.999999
    assert found["missing"] == (
        "the time since the last order: 7 days 12 hours, needs more than 60 days: 52 days 12 hours to go"
    )
    assert second["bound"] == 60 * 86_400


def test_a_percentile_is_that_of_the_day_before(workspace):
    found = ask(workspace, "vip", "c3")
    count, money = found["tree"]["parts"]
    assert count["holds"] and (count["value"], count["bound"]) == (2, 2)
    # At the end of the 9th: 300, 700 and 900; the second of three is the 60th percentile.
    assert (money["value"], money["bound"], money["holds"]) == (800, 700, True)
    assert money["bound_source"] == "the 60th percentile of all customers with one at the end of 2026-06-09"
    assert found["is_member"] and found["missing"] is None
    assert {row["id"] for row in money["evidence"]} == {"t4", "t5"}


def test_a_member_is_held_to_the_bound_of_leaving(workspace):
    entered = ask(workspace, "vip", "c2", date(2026, 6, 9))
    assert entered["is_member"] and entered["tree"]["parts"][0]["bound_of"] == "entry"
    found = ask(workspace, "vip", "c2")
    assert found["is_member"] and found["entered_at"] == "2026-06-09T23:59:59.999999Z"
    count, money = found["tree"]["parts"]
    assert (count["bound"], count["bound_of"]) == (1, "leaving")
    assert count["says"] == "orders in the last 365 days: 2, stays with at least 1: met, with 1 to spare"
    assert (money["bound"], money["bound_of"]) == (700, "leaving")


def test_views_are_shown_by_their_events_the_newest_first(workspace):
    found = ask(workspace, "high_intent_browser", "v1")
    assert found["is_member"]
    assert found["evidence_count"] == 55 and len(found["evidence"]) == 50
    assert [row["id"] for row in found["evidence"]] == [f"e{n}" for n in range(54, 4, -1)]
    assert found["evidence"][0] == {"kind": "view", "id": "e54", "at": "2026-06-06T12:54:00Z", "about": "p2"}


def test_who_left_is_told_when_and_why(workspace):
    day = date(2026, 6, 9)
    assert ask(workspace, "browse_abandoner", "v1", date(2026, 6, 8))["is_member"]
    found = ask(workspace, "browse_abandoner", "v1", day)
    assert found["left"] == {"at": "2026-06-09T12:54:00Z", "because": "expiry"}
    assert "ended at 2026-06-09T12:54:00Z by expiry, 11 hours 6 minutes ago" in found["missing"]
    assert found["evidence"][0]["id"] == "e54"


def test_a_family_is_asked_for_by_key(workspace):
    inside, outside = (ask(workspace, f"suppressed:{key}", "c1") for key in ("sms", "email"))
    assert inside["is_member"] and [row["id"] for row in inside["evidence"]] == ["x3"]
    assert outside["missing"] == "the last opt-out ended at 2026-06-07T12:00:00Z"
    assert outside["left"] == {"at": "2026-06-07T12:00:00Z", "because": "opt_in"}
    assert "suppressed is a family of cohorts, one for each channel" in ask(workspace, "suppressed", "c1")
    assert "vip is one cohort and no family" in ask(workspace, "vip:gold", "c1")
    assert "cohort 'vop' is not there" in ask(workspace, "vop", "c1")


def test_what_must_not_hold_is_named_with_its_reason(workspace):
    found = ask(workspace, "at_risk_customer", "c2")
    since, lapsed = found["tree"]["parts"][1:]
    assert since["comparison"] == "more_than" and not since["holds"]
    assert found["missing"] == since["says"]
    assert lapsed["kind"] == "none" and lapsed["holds"]
    assert not lapsed["parts"][0]["wanted"] and not lapsed["parts"][0]["holds"]


def test_a_bound_that_is_not_there_says_what_it_needs(workspace):
    found = ask(workspace, "rfm_champion", "c2")
    assert not found["is_member"] and found["tree"]["parts"][0]["bound"] is None
    assert found["missing"].endswith(
        "and there is no bound (the 80th percentile of all customers with one at the end of 2026-06-09, which needs "
        "500 of them and data of 180 days)"
    )


def test_nobody_has_nothing(workspace):
    found = ask(workspace, "high_value_at_risk", "nobody")
    assert found["missing"] == "is not in the cohort at_risk_customer: orders: 0, needs at least 2: 2 short"
    assert (found["evidence"], found["evidence_count"], found["entered_at"]) == ([], 0, None)


def test_people_read_a_table(workspace):
    base = ["--home", str(workspace.home), "--tenants", str(workspace.tenants), "cohort", "explain"]
    done = CliRunner(env={"COLUMNS": "300"}).invoke(cli, [*base, "vip", "c1", "--tenant", "acme"])
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "missing orders in the last 365 days: 1, needs at least 2: 1 short" in lines
    assert "no at least 2 orders in the last 365 days 1, needs at least 2: 1 short" in lines
    assert "evidence: 2" in lines
    day = ["--as-of", "2027-01-01"]
    missing = CliRunner().invoke(cli, [*base, "vip", "c1", "--tenant", "acme", *day])
    assert "2027-01-01 were not computed" in str(missing.exception)


@pytest.mark.parametrize(
    ("value", "comparison", "bound", "unit", "expected"),
    [
        (1, "at_least", 2, "count", "1 short"),
        (2, "at_least", 2, "count", "just met"),
        (5, "more_than", 5, "count", "1 short"),
        (6, "more_than", 5, "count", "just met"),
        (7, "at_most", 5, "count", "2 too many"),
        (5, "less_than", 5, "count", "1 too many"),
        (3, "equals", 1, "count", "2 too many"),
        (1, "equals", 1, "count", "met"),
        (1, "differs", 1, "count", "that is what it is"),
        (120, "at_least", 150, "minor", "30 minor units short"),
        (Fraction(91, 2), "at_least", 60, "percent", "14.5% short"),
        (60, "more_than", 60, "percent", "just missed"),
        (12 * DAY, "at_least", 48 * DAY, "duration", "36 days to go"),
        (12 * DAY, "less_than", 10 * DAY, "duration", "2 days too long"),
        (50 * DAY, "more_than", 48 * DAY, "duration", "met, with 2 days to spare"),
        (5 * HOUR, "more_than", 6 * HOUR, "instant", "1 hour too early"),
    ],
)
def test_distances(value, comparison, bound, unit, expected):
    assert gap(Fraction(value), comparison, Fraction(bound), unit) == expected


def test_durations_have_two_units():
    assert duration(36 * DAY + 2 * HOUR + 5 * MINUTE) == "36 days 2 hours"
    assert duration(DAY + 5 * MINUTE) == "1 day"
    assert duration(1) == "1 microsecond"
    assert duration(0) == "no time"
    assert duration(timedelta(minutes=90) // timedelta(microseconds=1)) == "1 hour 30 minutes"
