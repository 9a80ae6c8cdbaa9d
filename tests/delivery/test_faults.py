from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from pipelines.config import Tenant, Workspace
from pipelines.delivery import worker as worker_module
from pipelines.delivery.claims import Claim, Want, claim
from pipelines.delivery.deliver import Control, _Refill, deliver
from pipelines.delivery.instants import SECOND, micros
from pipelines.delivery.retry import Decision
from pipelines.delivery.settling import Attempt, Outcome, record, settle
from pipelines.delivery.worker import LEASE_SECONDS, drain
from pipelines.errors import UsageError
from pipelines.storage.control.engine import ControlError
from pipelines.storage.control.tables import attempts, deliveries
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


@pytest.mark.parametrize("moment", ["before the answer", "after the answer"])
def test_killed_between_post_and_commit_sends_one_copy_more_at_most(
    workspace: Workspace, control: Control, clock: FakeClock, moment: str
) -> None:
    child: list[subprocess.Popen[bytes]] = []
    posted = threading.Event()

    def kill() -> None:
        if not posted.is_set():
            posted.set()
            os.kill(child[0].pid, signal.SIGKILL)
            if moment == "before the answer":
                child[0].wait(10)

    with receiver(Reply(before=kill)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        where = ["--home", str(workspace.home), "--tenants", str(workspace.tenants)]
        child.append(subprocess.Popen([sys.executable, "-m", "pipelines.cli", *where, "deliver", "--once"]))
        assert child[0].wait(60) == -signal.SIGKILL
        clock.at = datetime.now(UTC)
        assert states(control) == ["delivering"]
        assert drain(make_worker(control, clock)) == {}
        clock.forward(LEASE_SECONDS)
        assert drain(make_worker(control, clock)) == {"delivered": 1}
    assert len(box.received) == 2
    assert len(set(box.ids)) == 1


def test_workers_at_once_send_each_delivery_once(workspace: Workspace, control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        rows = fill(control, clock, 60)

        def work(seed: int) -> int:
            own = Control.open(workspace, {})
            done = drain(make_worker(own, clock, seed))
            own.engine.dispose()
            return done.get("delivered", 0)

        with ThreadPoolExecutor(3) as pool:
            assert sum(pool.map(work, (1, 2, 3))) == 60
    assert sorted(box.ids) == sorted(rows["event_id"])
    assert states(control) == ["delivered"] * 60


def attempt(item: Claim, now: int) -> Attempt:
    return Attempt(item, now, now, "http://127.0.0.1/", Decision("delivered"), 200, None, 1, None)


def test_a_worker_that_wakes_after_its_lease_settles_nothing(control: Control, clock: FakeClock) -> None:
    add_endpoint(control, "http://127.0.0.1:9/")
    fill(control, clock, 1)
    want = Want(("acme",), 10, LEASE_SECONDS * SECOND)
    (paused,) = claim(control.engine, want, micros(clock()), "paused")
    assert claim(control.engine, want, micros(clock()), "other") == []
    clock.forward(LEASE_SECONDS)
    (second,) = claim(control.engine, want, micros(clock()), "second")
    assert settle(control.engine, [attempt(paused, micros(clock()))]) == ["late"]
    assert states(control) == ["delivering"]
    assert settle(control.engine, [attempt(second, micros(clock()))]) == ["delivered"]
    outcomes = [row["outcome"] for row in rows_of(control, select(attempts))]
    assert outcomes == ["late", "delivered"]


def test_a_clock_that_jumps_back_loses_nothing(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500), Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        drain(make_worker(control, clock))
        clock.forward(-3600)
        assert drain(make_worker(control, clock)) == {}
        clock.forward(3600 + 10)
        assert drain(make_worker(control, clock)) == {"delivered": 1}


def raw_server(answer: bytes) -> tuple[socket.socket, threading.Thread]:
    """Answers one connection with bytes, then resets it."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return server, thread


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        (b"", "pending", "disconnected"),
        (b"nonsense\r\n\r\n", "pending", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nhalf", "delivered", None),
        (b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n", "delivered", None),
    ],
)
def test_broken_answers(control: Control, clock: FakeClock, answer: bytes, state: str, error: str | None) -> None:
    server, thread = raw_server(answer)
    add_endpoint(control, f"http://127.0.0.1:{server.getsockname()[1]}/")
    fill(control, clock, 1)
    drain(make_worker(control, clock))
    thread.join()
    server.close()
    (row,) = rows_of(control, select(deliveries))
    assert (row["state"], row["last_error"]) == (state, error)


def test_no_secret_in_logs_ledger_or_database(
    workspace: Workspace, control: Control, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver(Reply(500, body=SECRET.encode())) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        done = deliver(workspace, once=True, clock=clock, environment={})
    assert done.retried == 1
    encoded = SECRET.removeprefix("whsec_")
    assert encoded not in caplog.text
    assert encoded not in repr(rows_of(control, select(attempts)))
    control.engine.dispose()
    for file in Path(workspace.home).glob("control*"):
        assert encoded.encode() not in file.read_bytes(), file.name


def test_an_attempt_is_settled_although_the_database_was_away(
    control: Control, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def flaky(connection: Connection, made: Sequence[Attempt]) -> list[Outcome]:
        tries.append(len(made))
        if len(tries) == 2:
            raise ControlError("control data: database is locked")
        return record(connection, made)

    monkeypatch.setattr(worker_module, "record", flaky)
    with receiver() as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        assert drain(make_worker(control, clock)) == {"delivered": 1}
    assert tries[:3] == [0, 1, 1]
    assert len(box.received) == 1
    assert "database is locked" in caplog.text


def test_a_wrong_file_does_not_stop_a_resident_worker(
    workspace: Workspace, tenant: Tenant, control: Control, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        refill = _Refill(control, [tenant], {}, clock)
        refill.now()
        folder = tenant.folder / "destinations"
        folder.mkdir()
        (folder / "wrong.yaml").write_text("kind: webhook\n")
        refill._last = 0.0
        refill.when_due()
        assert "wrong.yaml: url" in caplog.text
        fill(control, clock, 1)
        assert drain(make_worker(control, clock)) == {"delivered": 1}
    with pytest.raises(UsageError):
        deliver(workspace, once=True, clock=clock, environment={})


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_error_of_the_program_ends_the_worker_and_not_its_deliveries(
    control: Control, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(*_: object) -> None:
        raise AssertionError("unforeseen")

    add_endpoint(control, "http://127.0.0.1:9/")
    fill(control, clock, 1)
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "attempt", wrong)
        with pytest.raises(ExceptionGroup):
            drain(make_worker(control, clock))
    clock.forward(LEASE_SECONDS + 1)
    assert drain(make_worker(control, clock)) == {"retry": 1}
