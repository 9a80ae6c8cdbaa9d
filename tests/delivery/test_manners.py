"""What an endpoint asked for, as it arrives: formats, batches and headers of its own."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from sqlalchemy import select, update

from pipelines.delivery.deliver import Control
from pipelines.delivery.receiver import construct_event, verify_webhook
from pipelines.delivery.worker import drain
from pipelines.storage.control import writing
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


def test_the_flock_format_is_signed_like_any_other(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url, format="flock")
        fill(control, clock, 1)
        drain(make_worker(control, clock))
    (got,) = box.received
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    body = construct_event(SECRET, got.headers["x-flock-signature"], got.body)
    assert list(body) == ["name", "entity", "entityId", "data", "timestamp"]
    assert (body["name"], body["entity"], body["entityId"]) == ("cohort.entered", "visitor", "fv_0")
    assert body["data"]["eventId"] == got.headers["webhook-id"] == got.headers["idempotency-key"]


def test_own_headers_are_sent_and_change_none_of_ours(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url, headers={"Authorization": "Bearer of-mine", "X-Source": "murmuration"})
        fill(control, clock, 1)
        drain(make_worker(control, clock))
    (got,) = box.received
    assert (got.headers["authorization"], got.headers["x-source"]) == ("Bearer of-mine", "murmuration")
    assert got.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert verify_webhook(SECRET, got.headers, got.body)["type"] == "cohort.entered"


def test_batches_only_where_they_are_asked_for(control: Control, clock: FakeClock) -> None:
    with receiver() as single, receiver() as many:
        add_endpoint(control, single.url, "ep_single")
        add_endpoint(control, many.url, "ep_many", batch_max=4)
        fill(control, clock, 10)
        assert drain(make_worker(control, clock)) == {"delivered": 20}
    assert len(single.received) == 10
    sizes = [len(json.loads(got.body)) for got in many.received]
    assert sorted(sizes, reverse=True) == [4, 4, 2]
    assert {got.headers["content-type"] for got in many.received} == {
        "application/cloudevents-batch+json; charset=utf-8"
    }
    assert len(rows_of(control, select(attempts))) == 20


def test_of_a_refused_batch_each_event_is_tried_again_alone(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(400), Reply(400), Reply(200)) as box:
        add_endpoint(control, box.url, batch_max=10)
        fill(control, clock, 3)
        assert drain(make_worker(control, clock)) == {"retry": 3, "dead": 1, "delivered": 2}
    assert [len(json.loads(got.body)) for got in box.received] == [3, 1, 1, 1]
    assert sorted(states(control)) == ["dead", "delivered", "delivered"]


def test_no_request_is_in_binary_mode(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        drain(make_worker(control, clock))
    assert not [name for name in box.received[0].headers if name.startswith("ce-")]


def test_no_proxy_of_the_environment_is_used_and_no_cookie_kept(
    control: Control, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with receiver(Reply(200, {"Set-Cookie": "session=1; Path=/"})) as box:
        add_endpoint(control, box.url)
        for start in range(2):
            fill(control, clock, 1, start=start)
            assert drain(make_worker(control, clock)) == {"delivered": 1}
    assert not any("cookie" in got.headers for got in box.received)
    assert {got.headers["accept-encoding"] for got in box.received} == {"identity"}


def test_an_endpoint_that_hangs_slows_no_other(control: Control, clock: FakeClock) -> None:
    arrived: list[float] = []
    hangs, answers = Reply(delay=2.0), Reply(before=lambda: arrived.append(time.monotonic()))
    with receiver(hangs) as slow, receiver(answers) as quick:
        add_endpoint(control, slow.url, "ep_slow", max_in_flight=2)
        add_endpoint(control, quick.url, "ep_quick", max_in_flight=2)
        fill(control, clock, 12)
        with writing(control.engine) as connection:
            late = deliveries.c.endpoint_id == "ep_slow"
            connection.execute(update(deliveries).where(late).values(next_attempt_at=0))
        started = time.monotonic()
        drain(make_worker(control, clock, total_seconds=1.0), [row["delivery_id"] for row in _some(control)])
    assert len(arrived) == 12
    assert max(arrived) - started < 0.9


def _some(control: Control) -> list[dict[str, Any]]:
    """Every delivery of the quick endpoint and two of the slow one, so that the test ends soon."""
    rows = rows_of(control, select(deliveries).order_by(deliveries.c.endpoint_id, deliveries.c.delivery_id))
    slow = [row for row in rows if row["endpoint_id"] == "ep_slow"]
    return [row for row in rows if row["endpoint_id"] == "ep_quick"] + slow[:2]
