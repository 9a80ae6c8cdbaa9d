"""Control data that are locked or gone for a while: waited for, said once, nothing lost."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from pipelines.config import Workspace
from pipelines.delivery import worker as worker_module
from pipelines.delivery.deliver import Control
from pipelines.delivery.settling import Outcome
from pipelines.delivery.worker import Worker, drain, stay
from pipelines.storage.control import engine as engine_module
from pipelines.storage.control.engine import ControlError
from tests.delivery.postgresql import running
from tests.delivery.receivers import FakeClock, Reply, add_endpoint, fill, make_worker, receiver, states


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for a moment only, so that the worker itself has to wait."""
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_SECONDS", 0.05)


@contextmanager
def resident(worker: Worker) -> Iterator[dict[Outcome, int]]:
    """A resident worker beside the block; its counts once the block has ended."""
    stopping, counts = threading.Event(), {}
    thread = threading.Thread(target=lambda: counts.update(stay(worker, stopping.is_set, lambda: None)))
    thread.start()
    try:
        yield counts
    finally:
        stopping.set()
        thread.join(30)
        assert not thread.is_alive()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_locked_database_is_waited_for_and_said_once(
    workspace: Workspace, impatient: None, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    lock = sqlite3.connect(workspace.home / "control.db", isolation_level=None, check_same_thread=False)

    first = threading.Lock()

    def locked() -> None:
        """Between the request and its commit; held well beyond one try of the worker."""
        if first.acquire(blocking=False):
            lock.execute("BEGIN IMMEDIATE")

    with receiver(Reply(before=locked)) as box:
        add_endpoint(control, box.url)
        fill(control, FakeClock(), 5)
        with resident(make_worker(control, lambda: datetime.now(UTC))) as counts:
            until(lambda: len(box.received) == 5)
            until(lambda: "locked" in caplog.text)
            time.sleep(0.4)
            lock.execute("COMMIT")
            until(lambda: "are back" in caplog.text)
    lock.close()
    assert counts == {"delivered": 5}
    assert len(box.received) == 5
    assert len([record for record in caplog.records if "locked" in record.message]) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_bounded_run_gives_up_and_loses_nothing(
    workspace: Workspace, impatient: None, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "PATIENCE_SECONDS", 0.2)
    clock = FakeClock()
    with receiver() as box:
        add_endpoint(control, box.url)
        fill(control, clock, 2)
        lock = sqlite3.connect(workspace.home / "control.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(ControlError, match=r"database is locked; nothing was changed, try again"):
            drain(make_worker(control, clock))
        lock.execute("COMMIT")
        lock.close()
        assert drain(make_worker(control, clock)) == {"delivered": 2}
    assert len(box.received) == 2


def test_a_server_that_went_away_is_waited_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with running() as server:
        monkeypatch.setenv("MURMUR_CONTROL_URL", server.url)
        control = Control.open(workspace, {})
        gone = threading.Event()

        def stop() -> None:
            if not gone.is_set():
                gone.set()
                server.quit()

        with receiver(Reply(before=stop)) as box:
            add_endpoint(control, box.url)
            fill(control, FakeClock(), 3)
            with resident(make_worker(control, lambda: datetime.now(UTC))) as counts:
                until(lambda: "waiting for it" in caplog.text)
                server.begin_again()
                until(lambda: "are back" in caplog.text)
                until(lambda: states(control) == ["delivered"] * 3)
        control.engine.dispose()
    assert counts == {"delivered": 3}
    assert len(box.received) == 3
    assert len([record for record in caplog.records if "waiting for it" in record.message]) == 1
