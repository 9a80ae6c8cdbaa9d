"""Many producers, a receiver that fails now and then, workers that are killed: nothing missing, little twice."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from pipelines.config import Workspace
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import micros
from pipelines.delivery.outbox import fill_outbox
from pipelines.storage.control import reading
from pipelines.storage.control.tables import deliveries
from tests.delivery.receivers import Received, Receiver, Reply, add_endpoint, receiver, told
from tests.delivery.worker_process import started

PRODUCERS = 20
FAULTS = 0.05
LEASE, TOTAL = 2, 0.5


@dataclass
class Storm:
    """What was seen: answers of 2xx by endpoint and event, and what was in flight when a worker was killed."""

    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_flight: Counter[tuple[str, str]] = field(default_factory=Counter)
    kills: int = 0
    faults: int = 0


def faulty(box: Receiver, storm: Storm, chance: random.Random) -> None:
    """Let one request in twenty fail: an error, a pause, or silence until the sender has given up."""

    def take(request: Received) -> Reply:
        with box.lock:
            box.received.append(request)
            if chance.random() < FAULTS:
                storm.faults += 1
                return chance.choice([Reply(500), Reply(503, {"Retry-After": "0"}), Reply(502, delay=2 * TOTAL)])
            storm.taken[(request.path.removeprefix("/"), request.headers["webhook-id"])] += 1
            return Reply(200)

    box.take = take  # type: ignore[method-assign]


def left(control: Control) -> int:
    with reading(control.engine) as connection:
        open_ones = deliveries.c.state.in_(("pending", "delivering"))
        return int(connection.execute(select(func.count()).where(open_ones)).scalar_one())


def held(control: Control) -> list[tuple[str, str]]:
    with reading(control.engine) as connection:
        query = select(deliveries.c.endpoint_id, deliveries.c.event_id).where(deliveries.c.state == "delivering")
        return [(row[0], row[1]) for row in connection.execute(query)]


def run_storm(workspace: Workspace, control: Control, events: int, kills: int, workers: int) -> Storm:
    storm, each = Storm(), events // PRODUCERS

    def produce(number: int) -> None:
        for start in range(0, each, 10):
            rows = told(min(10, each - start), start=number * each + start)
            fill_outbox(control.engine, "acme", rows, micros(datetime.now(UTC)))

    def worker() -> subprocess.Popen[bytes]:
        return started(workspace.control_url, workspace.home, LEASE, TOTAL)

    with receiver() as box:
        faulty(box, storm, random.Random(7))
        for name in ("ep_one", "ep_two"):
            add_endpoint(control, box.url.replace("/hook", f"/{name}"), name)
        running = [worker() for _ in range(workers)]
        with ThreadPoolExecutor(PRODUCERS) as pool:
            producing = [pool.submit(produce, number) for number in range(PRODUCERS)]
            end = time.monotonic() + 600
            moment = random.Random(11)
            while (
                storm.kills < kills or not all(one.done() for one in producing) or left(control)
            ) and time.monotonic() < end:
                time.sleep(moment.uniform(0.2, 0.6))
                # Only a worker that holds something is worth killing.
                if storm.kills < kills and held(control):
                    victim = running.pop(0)
                    victim.kill()
                    victim.wait()
                    storm.in_flight.update(held(control))
                    storm.kills += 1
                    running.append(worker())
            for one in producing:
                one.result()
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
    return storm


def check(control: Control, storm: Storm, events: int, kills: int) -> None:
    assert storm.kills == kills
    assert storm.faults > 0
    assert len(storm.taken) == 2 * events, "an event is missing"
    with reading(control.engine) as connection:
        states = dict(connection.execute(select(deliveries.c.state, func.count()).group_by(deliveries.c.state)).all())
    assert states == {"delivered": 2 * events}
    surplus = {key: count - 1 for key, count in storm.taken.items() if count > 1}
    # A copy more for each kill in which that very delivery was in flight, and for nothing else.
    assert all(more <= storm.in_flight[key] for key, more in surplus.items()), surplus


def test_a_storm_loses_nothing_and_repeats_only_what_was_in_flight(workspace: Workspace, control: Control) -> None:
    storm = run_storm(workspace, control, 200, kills=2, workers=1)
    check(control, storm, 200, kills=2)


@pytest.mark.nightly
def test_a_long_storm(workspace: Workspace, control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    storm = run_storm(workspace, control, 4_000, kills=20, workers=2)
    check(control, storm, 4_000, kills=20)
    with capsys.disabled():
        copies = sum(storm.taken.values()) - len(storm.taken)
        print(f"\n{len(storm.taken)} deliveries, {storm.faults} faults, {storm.kills} kills: {copies} copies more")  # noqa: T201  the figures
        print(f"in flight at the kills: {sum(storm.in_flight.values())}")  # noqa: T201
