from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from pipelines.config import Tenant, Workspace
from pipelines.delivery import deliver as deliver_module
from pipelines.delivery import endpoints, replay, upkeep
from pipelines.delivery.deliver import Control, deliver, keep
from pipelines.delivery.instants import SECOND, micros
from pipelines.delivery.outbox import Filled, fill_outbox
from pipelines.delivery.upkeep import DAY_SECONDS, Pruned, mend, prune
from pipelines.delivery.worker import drain
from pipelines.errors import UsageError
from pipelines.storage.control import writing
from pipelines.storage.control.tables import attempts, deliveries, events
from pipelines.storage.control.tables import endpoints as endpoint_table
from tests.delivery.receivers import (
    NOON,
    FakeClock,
    Reply,
    add_endpoint,
    fill,
    make_worker,
    receiver,
    rows_of,
    states,
    told,
)


def test_what_ended_is_removed_and_never_sent_again(
    control: Control, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHUNK", 2)
    with receiver() as box:
        add_endpoint(control, box.url)
        rows = fill(control, clock, 5)
        drain(make_worker(control, clock))
        before = micros(clock()) + 1_000 * SECOND
        assert prune(control.engine, "other", before) == Pruned()
        assert prune(control.engine, "acme", before) == Pruned(deliveries=5, events=5)
        assert (states(control), rows_of(control, select(attempts))) == ([], [])
        assert [row["data"] for row in rows_of(control, select(events))] == [""] * 5
        assert fill_outbox(control.engine, "acme", rows, micros(clock())) == Filled(0, 0)
        assert drain(make_worker(control, clock)) == {}
    with writing(control.engine) as connection:
        found = replay.replay_span(connection, "ep_one", micros(NOON) - 1, micros(NOON) + 1, micros(clock()))
    assert found == replay.Replayed(0, 0)


def test_what_still_waits_stays_however_old(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 2)
        drain(make_worker(control, clock))
        clock.forward(90 * DAY_SECONDS)
        assert prune(control.engine, "acme", micros(clock())) == Pruned(attempts=2)
        box.replies = [Reply(200)]
        assert drain(make_worker(control, clock)) == {"delivered": 2}


def test_a_dead_letter_can_be_replayed_for_as_long_as_it_is_kept(
    control: Control, tenant: Tenant, clock: FakeClock
) -> None:
    days = tenant.config.webhook_retention_days
    with receiver(Reply(404), Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        drain(make_worker(control, clock))
        (dead,) = rows_of(control, select(deliveries))
        clock.forward(days * DAY_SECONDS - 60)
        keep(control.engine, tenant, micros(clock()))
        with writing(control.engine) as connection:
            replay.replay_delivery(connection, dead["delivery_id"], micros(clock()))
        assert drain(make_worker(control, clock)) == {"delivered": 1}
    clock.forward((days + 2) * DAY_SECONDS)
    keep(control.engine, tenant, micros(clock()))
    with pytest.raises(UsageError), writing(control.engine) as connection:
        replay.replay_delivery(connection, dead["delivery_id"], micros(clock()))


def test_a_run_removes_what_is_too_old(workspace: Workspace, control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        drain(make_worker(control, clock))
    clock.forward(40 * DAY_SECONDS)
    deliver(workspace, once=True, clock=clock, environment={})
    assert states(control) == []
    assert deliver_module.REFILL_SECONDS <= 1


def test_what_a_clock_wrote_that_was_far_ahead_is_mended(control: Control, clock: FakeClock) -> None:
    year = 365 * DAY_SECONDS
    with receiver(Reply(500), Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        clock.forward(year)
        drain(make_worker(control, clock))
        with writing(control.engine) as connection:
            far = micros(clock())
            connection.execute(update(endpoint_table).values(paused_until=far, open_until=far, paced_until=far))
        clock.forward(-year)
        assert drain(make_worker(control, clock)) == {}
        mend(control.engine, micros(clock()))
        assert drain(make_worker(control, clock)) == {"delivered": 1}


def test_what_came_for_a_deleted_endpoint_is_cancelled(control: Control, clock: FakeClock) -> None:
    add_endpoint(control, "http://127.0.0.1:9/")
    fill(control, clock, 1)
    with writing(control.engine) as connection:
        endpoints.set_state(connection, "ep_one", "deleted", micros(clock()))
        connection.execute(update(deliveries).values(state="pending", finished_at=None))
    mend(control.engine, micros(clock()))
    assert states(control) == ["cancelled"]


def test_the_words_of_events_stay_their_own(control: Control) -> None:
    """Ids of events are never removed, so their order is never given twice."""
    fill_outbox(control.engine, "acme", told(2), micros(NOON))
    prune(control.engine, "acme", micros(datetime.now(UTC)))
    fill_outbox(control.engine, "acme", told(3), micros(NOON))
    assert [row["sequence"] for row in rows_of(control, select(events).order_by(events.c.sequence))] == [1, 2, 3]
