from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from pipelines.config import Tenant
from pipelines.delivery.steps import CHECKS, STEPS, run_event_log
from pipelines.signals.catalogue import signals
from schemas.entities import ENTITIES
from schemas.tables import COHORT_TRANSITIONS, REFERRAL_CHANGES, SIGNAL_CROSSINGS, VISITOR_SIGNAL_CROSSINGS
from tests.delivery.receivers import DAY, transition, transitions

YESTERDAY = DAY - timedelta(days=1)
DAYS = [YESTERDAY, DAY]


def publish(tenant: Tenant, frame: pl.DataFrame) -> None:
    with tenant.lake.writer("cohort_transitions") as writer:
        for day in DAYS:
            writer.put(day, frame.filter(pl.col("date") == day))


def clock() -> datetime:
    return datetime(2026, 1, 6, 2, tzinfo=UTC)


def test_the_newest_day_is_sent_and_running_again_changes_nothing(tenant: Tenant) -> None:
    publish(tenant, transitions(transition(1), transition(2, day=YESTERDAY)))
    run_event_log(tenant, DAYS, clock=clock)
    log = tenant.lake.read("event_log")
    assert dict(log.select("transition_id", "emission").rows()) == {"t1": "sent", "t2": "withheld"}
    assert log["detected_at"].unique().to_list() == [clock()]
    again = run_event_log(tenant, DAYS)["event_log"]
    assert again.changed == ()


def test_a_later_run_of_an_old_day_does_not_send_it(tenant: Tenant) -> None:
    publish(tenant, transitions(transition(1), transition(2, day=YESTERDAY)))
    run_event_log(tenant, [YESTERDAY], clock=clock)
    assert tenant.lake.read("event_log")["emission"].to_list() == ["withheld"]


def test_late_data_retracts_and_only_that_day_changes(tenant: Tenant) -> None:
    publish(tenant, transitions(transition(1), transition(2, day=YESTERDAY)))
    run_event_log(tenant, DAYS, clock=clock)
    publish(tenant, transitions(transition(2, day=YESTERDAY)))
    assert run_event_log(tenant, DAYS, clock=clock)["event_log"].changed == (DAY,)
    kinds = tenant.lake.read("event_log", [DAY])["kind"].to_list()
    assert sorted(kinds) == ["cohort.entered", "cohort.entry_retracted"]


def test_the_check_passes_after_the_step_and_fails_when_the_log_lags(tenant: Tenant) -> None:
    publish(tenant, transitions(transition(1)))
    run_event_log(tenant, DAYS, clock=clock)
    (check,) = CHECKS
    assert check.run(tenant, DAYS).passed
    publish(tenant, transitions(transition(3)))
    result = check.run(tenant, DAYS)
    assert not result.passed
    assert result.evidence == {"believed": 1, "missing": 1, "surplus": 1}


def test_the_steps_name_their_tables() -> None:
    inputs = {step.outputs: step.inputs for step in STEPS}
    assert inputs["referral_changes",] == ("referral_events", "campaigns_history")
    assert COHORT_TRANSITIONS.name in inputs["event_log",]
    assert "referral_changes" in inputs["event_log",]


def crossing(index: int, day: date = DAY, **changes: Any) -> dict[str, Any]:
    return {
        "date": day,
        "crossing_id": f"x{index}",
        "signal_id": "demand_state",
        "subject_type": "product",
        "subject": f"sku-{index}",
        "from_state": "steady",
        "to_state": "surging",
        "value_after": 3.5,
        "direction": "up",
        "effective_at": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        "place": "o:shop-1",
        **changes,
    }


def version(tenant: Tenant) -> str:
    """Of the definition that counts."""
    return signals(tenant)["demand_state"].definition_version


def cross(tenant: Tenant, *given: dict[str, Any]) -> None:
    rows = [{"definition_version": version(tenant), **row} for row in given]
    products = [row for row in rows if row["subject_type"] == "product"]
    people = [{k: v for k, v in row.items() if k != "place"} for row in rows if row["subject_type"] != "product"]
    for contract, part in ((SIGNAL_CROSSINGS, products), (VISITOR_SIGNAL_CROSSINGS, people)):
        frame = pl.DataFrame(part, schema=contract.schema).sort(contract.primary_key)
        with tenant.lake.writer(contract.name) as writer:
            for day in DAYS:
                writer.put(day, frame.filter(pl.col("date") == day))


def logged(tenant: Tenant) -> pl.DataFrame:
    run_event_log(tenant, DAYS, clock=clock)
    return tenant.lake.read("event_log").sort("generation", "kind", "crossing_id")


def test_crossings_are_told_and_those_that_are_held_back_are_not(tenant: Tenant) -> None:
    cross(tenant, crossing(1), crossing(2, suppressed_by="cooldown"), crossing(3, YESTERDAY))
    log = logged(tenant)
    assert dict(log.select("crossing_id", "emission").rows()) == {"x1": "sent", "x3": "withheld"}
    told = log.row(0, named=True)
    assert (told["kind"], told["signal_id"], told["subject"]) == ("signal.threshold_crossed", "demand_state", "sku-1")
    data = json.loads(told["payload"])
    assert data == {
        "crossing_id": "x1",
        "definition_version": version(tenant),
        "direction": "up",
        "from_state": "steady",
        "outlet_id": "shop-1",
        "product_id": "sku-1",
        "signal_id": "demand_state",
        "subject_type": "product",
        "to_state": "surging",
        "value_after": 3.5,
    }


def test_a_crossing_that_did_not_happen_is_taken_back(tenant: Tenant) -> None:
    cross(tenant, crossing(1))
    logged(tenant)
    cross(tenant)
    log = logged(tenant)
    assert log.select("kind", "emission").rows() == [
        ("signal.crossing_retracted", "sent"),
        ("signal.threshold_crossed", "sent"),
    ]
    assert log["supersedes"][0] == log["event_id"][1]
    assert json.loads(log["payload"][0])["supersedes"] == log["event_id"][1]


def test_what_another_definition_of_a_signal_told_is_taken_back_in_silence(tenant: Tenant) -> None:
    old = {"definition_version": "of-before"}
    cross(tenant, crossing(1, **old), crossing(2, **old))
    assert logged(tenant)["emission"].to_list() == ["sent", "sent"]
    cross(tenant, crossing(2), crossing(3))
    log = logged(tenant).filter(pl.col("crossing_id") != "x2")
    assert log.select("crossing_id", "kind", "emission", "withheld_because").rows() == [
        ("x1", "signal.crossing_retracted", "withheld", "definition"),
        ("x1", "signal.threshold_crossed", "sent", None),
        ("x3", "signal.threshold_crossed", "withheld", "definition"),
    ]


def test_a_crossing_of_a_person_names_both_where_they_are_linked(tenant: Tenant) -> None:
    links = {"occurred_at": datetime(2026, 1, 1, tzinfo=UTC), "resolution_event": "login", "external_id": "l1"}
    contract = ENTITIES["identity_links"].contract
    row = {**links, "flockr_vid": "fv_1", "customer_id": "c-1"}
    with tenant.lake.writer("identity_links") as writer:
        writer.put(None, pl.DataFrame([row], schema=contract.schema))
    people = (("visitor", "fv_1"), ("visitor", "fv_2"), ("customer", "c-1"), ("customer", "c-2"))
    cross(tenant, *(crossing(n, subject_type=kind, subject=name) for n, (kind, name) in enumerate(people)))
    found = [json.loads(text) for text in logged(tenant)["payload"]]
    assert [(data["flockr_vid"], data.get("external_id")) for data in found] == [
        ("fv_1", "c-1"),
        ("fv_2", None),
        ("fv_1", "c-1"),
        (None, "c-2"),
    ]
    assert "product_id" not in found[0]


def test_a_change_of_a_referral_is_told_once_and_stays_told(tenant: Tenant) -> None:
    def said(day: date, hour: int) -> None:
        at = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        row = {"date": day, "change_id": "ch1", "kind": "referral.accepted", "entity": "referral", "entity_id": "ref-1"}
        frame = pl.DataFrame([{**row, "effective_at": at, "referrer_id": "c-1"}], schema=REFERRAL_CHANGES.schema)
        with tenant.lake.writer("referral_changes") as writer:
            for each in DAYS:
                writer.put(each, frame.filter(pl.col("date") == each))

    said(DAY, 12)
    (told,) = logged(tenant).to_dicts()
    assert (told["kind"], told["emission"], told["subject_type"], told["subject"]) == (
        "referral.accepted",
        "sent",
        "customer",
        "c-1",
    )
    said(YESTERDAY, 9)
    log = logged(tenant)
    assert log["event_id"].to_list() == [told["event_id"]] * 2
    assert log.filter(pl.col("emission") == "sent").height == 1
    (check,) = CHECKS
    assert check.run(tenant, DAYS).passed
