"""What an endpoint asked for, as it arrives: formats, batches and headers of its own."""

from __future__ import annotations

import json

from sqlalchemy import select

from pipelines.delivery.deliver import Control
from pipelines.delivery.receiver import construct_event, verify_webhook
from pipelines.delivery.worker import drain
from pipelines.storage.control.tables import attempts
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
