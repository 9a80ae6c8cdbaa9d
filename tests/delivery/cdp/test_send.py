"""Batches keep the limits; a refused one is halved until what spoils it is alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.cdp.batches import Prepared, batches, prepared
from pipelines.delivery.cdp.hub import Limits
from pipelines.delivery.cdp.hubs import HUBS
from pipelines.delivery.cdp.send import Said, send
from pipelines.delivery.cdp.track import tracked
from tests.delivery.cdp.events import NAMES, event

SEGMENT = HUBS["segment"]


def events(number):
    return [Prepared(f"e{place}", (json.dumps({"messageId": f"e{place}"}).encode(),)) for place in range(number)]


def run(hub, batch, answer):
    """What came of a batch, and the ids of each request; ``answer`` is given them and returns a status."""
    asked, clock = [], iter(range(1000))

    async def post(given_events, body):
        content = json.loads(body)
        asked.append([item["messageId"] for item in content["batch"]])
        stamps.append(content["sentAt"])
        assert asked[-1] == [each.message_id for each in given_events]
        return Said(answer(asked[-1]))

    stamps = []
    sent = asyncio.run(send(hub, batch, post, lambda: f"t{next(clock)}"))
    assert len(set(stamps)) == len(stamps)
    return sent, asked


@given(st.integers(1, 20), st.sets(st.integers(0, 19)))
def test_poison_is_found_and_the_others_arrive_once_and_in_order(number, poison):
    bad = {f"e{place}" for place in poison if place < number}
    taken = []

    def answer(ids):
        if bad & set(ids):
            return 400
        taken.extend(ids)
        return 200

    sent, asked = run(SEGMENT, events(number), answer)
    assert taken == [f"e{place}" for place in range(number) if f"e{place}" not in bad] == sent.accepted
    assert sent.refused == dict.fromkeys(bad, 400)
    assert not sent.later
    assert len(asked) <= 1 + 2 * max(1, len(bad)) * 5


@pytest.mark.parametrize("status", [None, 429, 500, 503])
def test_what_may_pass_is_kept_for_later(status):
    sent, asked = run(SEGMENT, events(3), lambda ids: status)
    assert (sent.accepted, sent.refused, sent.paused) == ([], {}, None)
    assert sent.later == dict.fromkeys(["e0", "e1", "e2"], status)
    assert len(asked) == 1


def test_credentials_that_end_in_the_middle_stop_everything_and_lose_nothing():
    answers = iter([400, 200, 400, 401])
    sent, asked = run(SEGMENT, events(8), lambda ids: next(answers))
    assert sent.accepted == ["e0", "e1", "e2", "e3"]
    assert sent.later == dict.fromkeys(["e4", "e5"], 401)
    assert sent.left == ["e6", "e7"]
    assert sent.paused == 401
    assert len(asked) == 4


def test_a_source_that_is_off_pauses_rudderstack_alone():
    assert run(HUBS["rudderstack"], events(2), lambda ids: 404)[0].paused == 404
    assert run(SEGMENT, events(2), lambda ids: 404)[0].refused == {"e0": 404, "e1": 404}


def test_what_can_never_be_sent_does_not_spoil_its_batch():
    small = replace(SEGMENT, limits=Limits(10, 1000, 5000))
    anonymous = tracked(event(subject="customer:c", flockr_vid=None, event_id="nobody"), NAMES)
    large = tracked(event(top_signal="x" * 1000, event_id="large"), NAMES)
    endless = tracked(event(score=float("inf"), event_id="endless"), NAMES)
    ready, refused = prepared(small, [anonymous, tracked(event(), NAMES), large, endless], {})
    assert refused == {"nobody": "no_identity", "large": "too_large", "endless": "invalid_event"}
    assert [each.message_id for each in ready] == ["evt_01JD0000000000000000000001"]


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 7))
def test_batches_keep_every_limit_and_the_order(sizes, most):
    hub = replace(SEGMENT, limits=Limits(most, 40, 120))
    given_events = [Prepared(f"e{place}", (b"x" * size,)) for place, size in enumerate(sizes)]
    found = batches(hub, given_events)
    assert [each for batch in found for each in batch] == given_events
    for batch in found:
        parts = [part for each in batch for part in each.parts]
        body = hub.body(parts, "2026-01-01T00:00:00.000000Z")
        assert len(parts) <= most
        assert len(body) <= 120 or len(batch) == 1
