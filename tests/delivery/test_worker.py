from __future__ import annotations

import json

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from sqlalchemy import select, update
from standardwebhooks import Webhook

from pipelines.delivery import endpoints, replay
from pipelines.delivery.claims import Claim, Want, claim
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import SECOND, micros
from pipelines.delivery.ledger import attempts_of
from pipelines.delivery.receiver import construct_event, verify_webhook
from pipelines.delivery.retry import Decision
from pipelines.delivery.settling import Attempt, settle
from pipelines.delivery.signing import make_secret
from pipelines.delivery.worker import drain
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import attempts, deliveries, events
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

NEW_SECRET = make_secret(bytes(range(32, 64)))


def ledger(control: Control) -> list[tuple[int | None, str, str | None]]:
    rows = rows_of(control, select(attempts).order_by(attempts.c.attempt_id))
    return [(row["status"], row["outcome"], row["error_class"]) for row in rows]


def test_a_delivery_verifies_by_our_helper_and_by_independent_libraries(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        rows = fill(control, clock, 3)
        assert drain(make_worker(control, clock)) == {"delivered": 3}
    assert sorted(box.ids) == sorted(rows["event_id"])
    for request in box.received:
        signature = request.headers["x-flock-signature"]
        event = construct_event(SECRET, signature, request.body)
        assert verify_webhook(SECRET, request.headers, request.body) == event
        assert Webhook(SECRET).verify(request.body, request.headers) == event
        parsed = from_http_event(HTTPMessage(request.headers, request.body))
        assert parsed.get_id() == event["id"] == request.headers["idempotency-key"]
        assert parsed.get_type() == "cohort.entered"
        assert parsed.get_source() == "https://murmuration.example/tenants/acme"
        assert parsed.get_data()["cart_total_value"] == "249.50"
        assert event["timestamp"] == micros(clock()) // SECOND
        assert not [name for name in request.headers if name.startswith("ce-")]
        assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"


def test_what_fails_is_tried_again_later_with_the_same_id_and_a_new_timestamp(
    control: Control, clock: FakeClock
) -> None:
    with receiver(Reply(500), Reply(503), Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        assert drain(worker) == {"retry": 1}
        assert drain(worker) == {}
        clock.forward(6)
        assert drain(worker) == {"retry": 1}
        clock.forward(34)
        assert drain(worker) == {"delivered": 1}
    assert len(set(box.ids)) == 1
    seconds = [int(request.headers["webhook-timestamp"]) for request in box.received]
    assert seconds[0] < seconds[1] < seconds[2]
    assert [json.loads(request.body)["timestamp"] for request in box.received] == seconds
    assert ledger(control) == [(500, "retry", "status_500"), (503, "retry", "status_503"), (200, "delivered", None)]


def test_after_24_hours_it_is_a_dead_letter_that_can_be_replayed(control: Control, clock: FakeClock) -> None:
    with receiver(*[Reply(500)] * 11, Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        for _ in range(11):
            drain(worker)
            clock.forward(10 * 3600 + 3600)
        assert states(control) == ["dead"]
        assert len(box.received) < 11
        delivery_id = rows_of(control, select(deliveries))[0]["delivery_id"]
        made = len(box.received)
        box.replies = [Reply(200)]
        with writing(control.engine) as connection:
            replay.replay_delivery(connection, delivery_id, micros(clock()))
        assert drain(worker) == {"delivered": 1}
        with reading(control.engine) as connection:
            assert len(attempts_of(connection, delivery_id)) == made + 1
    assert len(set(box.ids)) == 1


def test_410_disables_the_endpoint_and_keeps_the_rest(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(410)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        assert drain(worker) == {"dead": 1}
        fill(control, clock, 2, start=1)
        assert drain(worker) == {}
        with writing(control.engine) as connection:
            gone = endpoints.get(connection, "ep_one")
            assert (gone.state, gone.disabled_because) == ("disabled", "gone")
            endpoints.set_state(connection, "ep_one", "active", micros(clock()))
        box.replies = [Reply(200)]
        assert drain(worker) == {"delivered": 2}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_never_followed(control: Control, clock: FakeClock, status: int) -> None:
    with receiver() as elsewhere, receiver(Reply(status, {"Location": elsewhere.url})) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        assert drain(make_worker(control, clock)) == {"dead": 1}
        assert elsewhere.received == []
    assert ledger(control) == [(status, "dead", "redirect")]


def test_a_receiver_that_does_not_answer_in_time_is_a_timeout(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(delay=0.6)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        assert drain(make_worker(control, clock, total_seconds=0.2)) == {"retry": 1}
    assert ledger(control) == [(None, "retry", "timeout")]


def test_nobody_listening_is_a_connect_error(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        url = box.url
    add_endpoint(control, url)
    fill(control, clock, 1)
    assert drain(make_worker(control, clock)) == {"retry": 1}
    assert ledger(control) == [(None, "retry", "connect")]


def test_429_pauses_the_endpoint_and_not_the_message_alone(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(429, {"Retry-After": "120"}), Reply(200)) as box:
        add_endpoint(control, box.url)
        fill(control, clock, 1)
        worker = make_worker(control, clock)
        drain(worker)
        fill(control, clock, 1, start=1)
        clock.forward(60)
        assert drain(worker) == {}
        clock.forward(61)
        assert drain(worker) == {"delivered": 2}
    assert len(box.received) == 3


def test_a_private_address_is_blocked_at_the_socket(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        port = box.url.split(":")[2].split("/")[0]
        add_endpoint(control, "https://localhost:8443/hook", allow_private=False)
        fill(control, clock, 1)
        assert drain(make_worker(control, clock)) == {"dead": 1}
        plain = update(endpoint_table).values(url=f"http://localhost:{port}/hook")
        with writing(control.engine) as connection:
            connection.execute(plain)
        fill(control, clock, 1, start=1)
        assert drain(make_worker(control, clock)) == {"dead": 1}
        assert box.received == []
    assert [error for _, _, error in ledger(control)] == ["blocked_address", "blocked_url"]


def test_two_secrets_sign_for_a_day_and_then_the_new_one_alone(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        with writing(control.engine) as connection:
            endpoints.rotate(connection, control.cipher, "ep_one", NEW_SECRET, micros(clock()))
        worker = make_worker(control, clock)
        fill(control, clock, 1)
        drain(worker)
        clock.forward(24 * 3600)
        fill(control, clock, 1, start=1)
        drain(worker)
    first, second = box.received
    now = micros(clock()) // SECOND
    for secret in (SECRET, NEW_SECRET):
        assert verify_webhook(secret, first.headers, first.body)
    assert verify_webhook(NEW_SECRET, second.headers, second.body, now=now)
    assert len(second.headers["webhook-signature"].split()) == 1


def test_revoking_ends_the_old_secret_at_once(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        with writing(control.engine) as connection:
            endpoints.rotate(connection, control.cipher, "ep_one", NEW_SECRET, micros(clock()), overlap_seconds=0)
        fill(control, clock, 1)
        drain(make_worker(control, clock))
    assert len(box.received[0].headers["webhook-signature"].split()) == 1


def test_a_sandbox_endpoint_is_recorded_and_nothing_is_sent(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url, mode="sandbox")
        fill(control, clock, 2)
        assert drain(make_worker(control, clock)) == {"sandbox": 2}
        assert box.received == []
    assert states(control) == ["delivered"] * 2


def test_an_event_that_does_not_fit_is_a_dead_letter_and_stops_nothing(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        fill(control, clock, 2)
        large = json.dumps({"cohort_id": "x" * 70_000})
        with writing(control.engine) as connection:
            connection.execute(update(events).where(events.c.sequence == 1).values(data=large))
        assert drain(make_worker(control, clock)) == {"dead": 1, "delivered": 1}
    assert (None, "dead", "too_large") in ledger(control)


def test_one_endpoint_has_at_most_its_places_at_once(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(delay=0.02)) as box:
        add_endpoint(control, box.url)
        with writing(control.engine) as connection:
            connection.execute(update(endpoint_table).values(max_in_flight=2))
        fill(control, clock, 9)
        assert drain(make_worker(control, clock)) == {"delivered": 9}
    assert len(set(box.ids)) == 9


def test_retries_and_first_attempts_share_the_places_of_an_endpoint(control: Control, clock: FakeClock) -> None:
    add_endpoint(control, "http://127.0.0.1:9/")
    fill(control, clock, 40)
    with writing(control.engine) as connection:
        connection.execute(update(deliveries).values(attempts=1, retrying=True))
    fill(control, clock, 40, start=40)
    now = micros(clock())

    def take() -> list[Claim]:
        return claim(control.engine, Want(("acme",), 100, SECOND), now, "t")

    claims = take()
    assert [item.attempts for item in claims] == [0] * 12 + [1] * 4
    settle(
        control.engine, [Attempt(item, now, now, "", Decision("delivered"), 200, None, 1, None) for item in claims[:8]]
    )
    assert [item.attempts for item in take()] == [0] * 8
    settle(
        control.engine, [Attempt(item, now, now, "", Decision("delivered"), 200, None, 1, None) for item in claims[8:]]
    )
    assert [item.attempts for item in take()] == [0] * 4 + [1] * 4


def test_a_test_event_is_tried_once(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(500)) as box:
        add_endpoint(control, box.url, event_types=("cohort.exited",))
        fill(control, clock, 1)
        with writing(control.engine) as connection:
            delivery_id = replay.add_test(connection, "ep_one", "abc", micros(clock()))
        assert drain(make_worker(control, clock), [delivery_id]) == {"dead": 1}
    assert json.loads(box.received[0].body)["type"] == "endpoint.test"


def test_the_ledger_keeps_a_short_redacted_answer(control: Control, clock: FakeClock) -> None:
    with receiver(Reply(400, body=f"bad: {SECRET} for jane@example.com ".encode() * 100)) as box:
        add_endpoint(control, box.url + "?token=abc")
        fill(control, clock, 1)
        drain(make_worker(control, clock))
    (row,) = rows_of(control, select(attempts))
    assert row["response"].startswith("bad: [redacted] for [redacted]")
    assert len(row["response"].encode()) <= 1024
    assert row["url"] == box.url
    assert "?token=abc" in box.received[0].path
