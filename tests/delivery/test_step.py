from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from pipelines.config import Tenant
from pipelines.delivery.steps import CHECKS, STEPS, run_event_log
from schemas.tables import COHORT_TRANSITIONS
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


def test_the_step_names_its_tables() -> None:
    (step,) = STEPS
    assert step.outputs == ("event_log",)
    assert step.inputs == (COHORT_TRANSITIONS.name,)
