"""What changes while a delivery waits for its next attempt, or while a request is on its way."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime

from sqlalchemy import select, update

from pipelines.config import Workspace
from pipelines.delivery import endpoints
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import micros
from pipelines.delivery.receiver import verify_webhook
from pipelines.delivery.retry import DEADLINE_SECONDS
from pipelines.delivery.signing import make_secret
from pipelines.delivery.worker import drain
from pipelines.storage.control import writing
from pipelines.storage.control.tables import attempts, deliveries
from pipelines.storage.control.tables import endpoints as endpoint_table
from tests.delivery.receivers import (
    SECRET,
    FakeClock,
    Reply,
    add_endpoint,
    fill,
    make_worker,
    receiver,
    rows_of,
    states,
)
from tests.delivery.worker_process import started

NEW_SECRET = make_secret(bytes(range(32, 64)))


def ledger(control: Control) -> list[dict[str, object]]:
    return rows_of(control, select(attempts).order_by(attempts.c.attempt_id))


def test_a_secret_that_was_rotated_signs_the_next_attempt(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500), Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        drain(worker)
        clock.forward(6)
        with writing(control.engine) as connection:
            endpoints.rotate(connection, control.cipher, "ep_one", NEW_SECRET, micros(clock()))
        assert drain(worker) == {"delivered": 1}
    first, second = box.received
    assert verify_webhook(SECRET, first.headers, first.body)
    for secret in (SECRET, NEW_SECRET):
        assert verify_webhook(secret, second.headers, second.body)


def test_an_endpoint_that_moved_is_found_at_its_new_address(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500)) as before, receiver() as after:
        add_endpoint(control, before.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        drain(worker)
        with writing(control.engine) as connection:
            connection.execute(update(endpoint_table).values(url=after.url))
        clock.forward(6)
        assert drain(worker) == {"delivered": 1}
        assert [row["url"] for row in ledger(control)] == [before.url, after.url]
    assert (len(before.received), len(after.received)) == (1, 1)


def test_a_disabled_endpoint_keeps_its_retry_until_it_is_enabled(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500), Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        drain(worker)
        for state in ("disabled", "suspended"):
            with writing(control.engine) as connection:
                endpoints.set_state(connection, "ep_one", state, micros(clock()), "by hand")
            clock.forward(3600)
            assert drain(worker) == {}
        assert states(control) == ["pending"]
        with writing(control.engine) as connection:
            endpoints.set_state(connection, "ep_one", "active", micros(clock()))
        assert drain(worker) == {"delivered": 1}


def test_a_deleted_endpoint_gets_nothing_more(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        drain(worker)
        with writing(control.engine) as connection:
            endpoints.set_state(connection, "ep_one", "deleted", micros(clock()))
        clock.forward(3600)
        assert drain(worker) == {}
    assert states(control) == ["cancelled"]
    assert len(box.received) == 1


def test_what_is_answered_after_its_endpoint_was_deleted_stays_cancelled(control: Control, clock: FakeClock) -> None:
    def delete() -> None:
        with writing(control.engine) as connection:
            endpoints.set_state(connection, "ep_one", "deleted", micros(clock()))

    with receiver(Reply(200, before=delete)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        assert drain(make_worker(control, clock)) == {"late": 1}
    assert states(control) == ["cancelled"]
    assert [row["status"] for row in ledger(control)] == [200]


def test_a_clock_that_jumps_ahead_in_flight_sends_no_copy(control: Control, clock: FakeClock) -> None:
    """The worker's own leases look ended; it knows better than to claim what it holds."""
    with receiver(Reply(200, before=lambda: clock.forward(DEADLINE_SECONDS), delay=0.3)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 3)
        assert drain(make_worker(control, clock)) == {"delivered": 3}
    assert len(box.received) == 3
    (row, *_) = ledger(control)
    assert row["latency_ms"] < 5_000


def test_a_worker_that_was_paused_past_its_lease_overwrites_nothing(workspace: Workspace, control: Control) -> None:
    """It wakes with an answer of 500 for what another worker has delivered by then."""
    paused = []

    def pause() -> None:
        if len(paused) == 1:
            os.kill(paused[0].pid, signal.SIGSTOP)
            paused.append(None)

    with receiver(Reply(500, before=pause), Reply(200)) as box:
        add_endpoint(control, box.url)
        clock = FakeClock(datetime.now(UTC))
        fill(control, clock, 1)
        child = started(workspace.control_url, workspace.home, 2, 0.5)
        paused.append(child)
        until(lambda: len(paused) == 2)
        time.sleep(2.1)
        other = make_worker(control, lambda: datetime.now(UTC), lease_seconds=30)
        assert drain(other) == {"delivered": 1}
        os.kill(child.pid, signal.SIGCONT)
        until(lambda: len(ledger(control)) == 2)
        child.terminate()
        assert child.wait(30) == 0
    assert states(control) == ["delivered"]
    assert sorted(str(row["outcome"]) for row in ledger(control)) == ["delivered", "late"]
    assert len(set(box.ids)) == 1
    (row,) = rows_of(control, select(deliveries))
    assert row["attempts"] == 1


def until(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
