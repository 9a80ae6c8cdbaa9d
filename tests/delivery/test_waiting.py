from __future__ import annotations

from datetime import timedelta

from pipelines.config import Tenant, Workspace
from pipelines.delivery import endpoints
from pipelines.delivery.claims import Want, claim
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import SECOND, micros
from pipelines.delivery.steps import run_event_log
from pipelines.delivery.waiting import waiting
from pipelines.storage.control import writing
from tests.delivery.receivers import DAY, FakeClock, add_endpoint, fill, transition, transitions


def test_due_deliveries_and_those_of_a_dead_worker_wait(
    workspace: Workspace, control: Control, clock: FakeClock
) -> None:
    add_endpoint(control, "http://127.0.0.1:9/")
    fill(control, clock, 2)
    assert waiting(workspace, "acme", clock() - timedelta(seconds=1)) == []
    due = waiting(workspace, "acme", clock())
    assert len(due) == 2
    claim(control.engine, Want(("acme",), 10, 60 * SECOND), micros(clock()), "dead")
    assert waiting(workspace, "acme", clock()) == []
    left = waiting(workspace, "acme", clock() + timedelta(seconds=60))
    assert len(left) == 2
    assert not set(left) & set(due)


def test_what_no_run_could_send_does_not_wait(workspace: Workspace, control: Control, clock: FakeClock) -> None:
    add_endpoint(control, "http://127.0.0.1:9/")
    fill(control, clock, 2)
    with writing(control.engine) as connection:
        endpoints.set_state(connection, "ep_one", "disabled", micros(clock()))
    assert waiting(workspace, "acme", clock()) == []


def test_a_changed_log_waits(workspace: Workspace, tenant: Tenant, clock: FakeClock) -> None:
    with tenant.lake.writer("cohort_transitions") as writer:
        writer.put(DAY, transitions(transition(1)))
    run_event_log(tenant, [DAY])
    (entry,) = waiting(workspace, "acme", clock())
    assert entry.startswith(f"event_log/{DAY.isoformat()}=")
