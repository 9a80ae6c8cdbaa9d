from __future__ import annotations

import json
import logging

import pytest

from pipelines.delivery.envelope import Event, TooLargeError
from pipelines.delivery.flock import SHAPE_A
from pipelines.delivery.formats import Manner, fitting, message
from schemas.events import BATCH_CONTENT_TYPE, CONTENT_TYPE, LARGE_BYTES, MAX_BYTES

AT = 1767225600
HOST = "murmuration.example"
BATCHES = Manner(batch_max=3)


def event(number: int = 1, data: str = '{"cohort_id":"x","flockr_vid":"fv_1"}', **changes: object) -> Event:
    values = {"type": "cohort.entered", "subject": "fv_1", **changes}
    return Event(f"e{number}", "acme", time=AT * 10**6, recorded_time=AT * 10**6, sequence=number, data=data, **values)


def padded(size: int, number: int = 1) -> Event:
    """An event whose body has exactly so many bytes."""
    rest = len(message([event(number, '{"a":""}')], Manner(), HOST, AT).body)
    return event(number, json.dumps({"a": "x" * (size - rest)}, separators=(",", ":")))


def test_one_event_is_a_cloudevent() -> None:
    made = message([event()], Manner(), HOST, AT)
    assert (made.message_id, made.content_type) == ("e1", CONTENT_TYPE)
    assert json.loads(made.body)["id"] == "e1"


def test_a_batch_is_an_array_with_an_id_of_its_own_that_its_events_decide() -> None:
    made, again, other = (message([event(n) for n in ids], BATCHES, HOST, AT) for ids in ((1, 2), (1, 2), (1, 3)))
    assert made.content_type == BATCH_CONTENT_TYPE
    assert [each["id"] for each in json.loads(made.body)] == ["e1", "e2"]
    assert made.message_id == again.message_id != other.message_id
    assert isinstance(json.loads(message([event()], BATCHES, HOST, AT).body), list)


def test_requests_take_what_the_endpoint_asks_for() -> None:
    events = [event(number) for number in range(7)]
    assert fitting(events, BATCHES, HOST, AT) == [(0, 1, 2), (3, 4, 5), (6,)]
    assert fitting(events[:2], Manner(), HOST, AT) == [(0,), (1,)]


def test_requests_take_what_fits_into_64_kib_to_the_byte() -> None:
    half = (MAX_BYTES - 3) // 2
    fits = [padded(half, 1), padded(MAX_BYTES - 3 - half, 2)]
    assert fitting(fits, BATCHES, HOST, AT) == [(0, 1)]
    assert len(message(fits, BATCHES, HOST, AT).body) == MAX_BYTES
    over = [padded(half, 1), padded(MAX_BYTES - 2 - half, 2)]
    assert fitting(over, BATCHES, HOST, AT) == [(0,), (1,)]
    with pytest.raises(TooLargeError):
        message(over, BATCHES, HOST, AT)


def test_an_event_that_fits_into_no_request_keeps_no_other_back() -> None:
    events = [event(1), event(2, '{"a":"' + "x" * MAX_BYTES + '"}'), event(3)]
    assert fitting(events, BATCHES, HOST, AT) == [(0,), (1,), (2,)]


def test_a_large_event_is_sent_with_a_warning_that_repeats_no_data(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        message([padded(LARGE_BYTES)], Manner(), HOST, AT)
        assert not caplog.records
        message([padded(LARGE_BYTES + 1)], Manner(), HOST, AT)
    assert [record.getMessage() for record in caplog.records] == [
        "event e1 (cohort.entered) has 20001 bytes; some receivers take no more than 20000"
    ]


def test_the_flock_format_nests_a_referral_as_flock_does() -> None:
    data = {
        "entity": "referral",
        "entity_id": "ref-1",
        "campaign_id": "camp-1",
        "referrer_id": "c-1",
        "invitee_id": "c-2",
        "referrer_reward_id": "rwd-1",
    }
    told = event(1, json.dumps(data), type="referral.accepted", subject="customer:c-1")
    made = message([told], Manner("flock"), HOST, AT)
    assert made.content_type == "application/json; charset=utf-8"
    body = json.loads(made.body)
    assert tuple(body) == SHAPE_A
    assert body == {
        "name": "referral.accepted",
        "entity": "referral",
        "entityId": "ref-1",
        "data": {
            "campaignId": "camp-1",
            "referrer": {"id": "c-1"},
            "invitee": {"id": "c-2"},
            "referrerReward": {"id": "rwd-1"},
            "eventId": "e1",
            "occurredAt": "2026-01-01T00:00:00.000Z",
        },
        "timestamp": AT,
    }


@pytest.mark.parametrize(
    ("subject", "vid", "entity"),
    [
        ("fv_1", "fv_1", ("visitor", "fv_1")),
        ("customer:c-1", None, ("customer", "c-1")),
        ("customer:c-1", "fv_1", ("customer", "c-1")),
        ("customer:odd", "customer:odd", ("visitor", "customer:odd")),
        ("product:sku-1", None, ("product", "sku-1")),
    ],
)
def test_other_events_say_in_flock_format_whom_they_are_about(
    subject: str, vid: str | None, entity: tuple[str, str]
) -> None:
    told = event(1, json.dumps({"cohort_id": "x", "flockr_vid": vid}), subject=subject)
    body = json.loads(message([told], Manner("flock"), HOST, AT).body)
    assert (body["entity"], body["entityId"]) == entity
    assert body["data"]["cohort_id"] == "x"
