from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from pipelines.delivery import pace
from pipelines.delivery.breaker import FIRST_SECONDS, LONGEST_SECONDS, THRESHOLD, Health, after
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import SECOND
from pipelines.delivery.worker import drain
from pipelines.storage.control import writing
from pipelines.storage.control.tables import attempts, endpoints, events
from tests.delivery.receivers import FakeClock, Reply, add_endpoint, fill, make_worker, receiver, rows_of, states

AT = 1_767_225_600 * SECOND


def failed(times: int, health: Health | None = None, at: int = AT) -> Health:
    found = health or Health()
    for _ in range(times):
        found = after(found, 500, None, at, at)
    return found


def test_failures_in_a_row_open_it_and_each_failed_probe_doubles_the_time() -> None:
    assert failed(THRESHOLD - 1).open_until is None
    health = failed(THRESHOLD)
    assert health == Health(THRESHOLD, AT, AT + FIRST_SECONDS * SECOND)
    waits = []
    for _ in range(5):
        at = health.open_until or 0
        health = after(health, None, "timeout", at, at)
        waits.append(((health.open_until or 0) - at) // SECOND)
    assert waits == [60, 120, 240, LONGEST_SECONDS, LONGEST_SECONDS]
    assert health.failing_since == AT


@pytest.mark.parametrize("status", [200, 204, 400, 404, 410])
def test_any_answer_of_its_own_closes_it(status: int) -> None:
    assert after(failed(THRESHOLD), status, None, AT, AT) == Health()


@pytest.mark.parametrize(("status", "error"), [(429, None), (None, "too_large"), (None, "blocked_address")])
def test_what_says_nothing_of_the_receiver_changes_nothing(status: int | None, error: str | None) -> None:
    assert after(failed(3), status, error, AT, AT) == failed(3)


def test_what_was_on_its_way_when_it_opened_is_no_probe() -> None:
    opened = failed(THRESHOLD)
    assert failed(6, opened) == opened


def test_an_open_endpoint_gets_one_probe_at_a_time_and_then_everything(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 12)
        worker = make_worker(control, clock)
        drain(worker)
        tried = len(box.received)
        assert THRESHOLD <= tried <= 16
        clock.forward(FIRST_SECONDS - 10)
        assert drain(worker) == {}
        clock.forward(11)
        assert drain(worker) == {"retry": 1}
        clock.forward(2 * FIRST_SECONDS + 1)
        box.replies = [Reply(200)]
        assert drain(worker) == {"delivered": 12}
    assert states(control) == ["delivered"] * 12
    (row,) = rows_of(control, select(endpoints))
    assert (row["failures"], row["failing_since"], row["open_until"]) == (0, None, None)


def told_about(control: Control) -> list[tuple[str, dict[str, object]]]:
    rows = rows_of(control, select(events).where(events.c.type.not_like("cohort.%")).order_by(events.c.sequence))
    return [(row["type"], json.loads(row["data"])) for row in rows]


def test_an_operator_is_told_of_an_end_a_recovery_and_dead_letters(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500)) as box, receiver() as operator:
        add_endpoint(control, box.url)
        add_endpoint(control, operator.url, "ep_ops", event_types=("endpoint.*", "delivery.*"))
        fill(control, clock, THRESHOLD)
        worker = make_worker(control, clock)
        drain(worker)
        clock.forward(FIRST_SECONDS + 5)
        box.replies = [Reply(200)]
        drain(worker)
        box.replies = [Reply(404)]
        fill(control, clock, 1, start=50)
        drain(worker)
        box.replies = [Reply(410)]
        fill(control, clock, 1, start=60)
        drain(worker)
        clock.forward(1)
        drain(worker)
        kinds = [json.loads(request.body)["type"] for request in operator.received]
    found = told_about(control)
    assert sorted(kinds) == sorted(kind for kind, _ in found)
    names = ["endpoint.recovered", "delivery.exhausted", "endpoint.disabled", "delivery.exhausted"]
    assert [kind for kind, _ in found] == names
    recovered, refused, disabled, _ = (data for _, data in found)
    assert recovered["failures"] == THRESHOLD
    assert (refused["reason"], refused["last_status"]) == ("refused", 404)
    assert (disabled["reason"], disabled["last_status"]) == ("gone", 410)


def test_an_operators_own_dead_letters_are_told_to_nobody(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(404)) as box, receiver(Reply(404)) as operator:
        add_endpoint(control, box.url)
        add_endpoint(control, operator.url, "ep_ops", event_types=("delivery.exhausted",))
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        for _ in range(4):
            drain(worker)
            clock.forward(1)
    assert len(operator.received) == 1
    assert len(told_about(control)) == 1


@given(rate=st.integers(1, 500), steps=st.lists(st.integers(1, 3_000_000), max_size=60))
def test_no_second_has_more_attempts_than_the_rate_and_a_burst(rate: int, steps: list[int]) -> None:
    now, until, begun = AT, None, []
    for step in steps:
        now += step
        number = pace.allowed(rate, until, now, 1000)
        if number:
            until = pace.reached(rate, until, now, number)
            begun += [now] * number
    burst = max(1, pace.BURST // (SECOND // rate))
    for start in begun:
        assert sum(start <= at < start + SECOND for at in begun) <= rate + burst + 1


def test_a_limited_endpoint_is_sent_to_at_its_rate_within_one_run(control: Control) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        with writing(control.engine) as connection:
            connection.execute(update(endpoints).values(rate=20))
        fill(control, FakeClock(), 12)
        assert drain(make_worker(control, lambda: datetime.now(UTC))) == {"delivered": 12}
    seconds = [row["at"] / SECOND for row in rows_of(control, select(attempts).order_by(attempts.c.at))]
    assert 0.4 <= seconds[-1] - seconds[0] < 5
