from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.cli.listen import verifying
from pipelines.cli.local_server import make_server
from pipelines.cli.main import cli
from pipelines.config import Tenant, Workspace
from pipelines.delivery.signing import flock_signature
from pipelines.delivery.steps import run_event_log
from pipelines.errors import MurmurError, UsageError
from tests.delivery.receivers import DAY, SECRET, Reply, receiver, transition, transitions


def where(workspace: Workspace) -> list[str]:
    return ["--home", str(workspace.home), "--tenants", str(workspace.tenants)]


def murmur(workspace: Workspace, *arguments: str) -> Any:
    """Run a command in this process; its JSON, or its error."""
    run = CliRunner().invoke(cli, [*where(workspace), *arguments, "--json"], standalone_mode=False)
    if run.exception:
        raise run.exception
    return json.loads(run.stdout)


def publish(tenant: Tenant, count: int) -> None:
    with tenant.lake.writer("cohort_transitions") as writer:
        writer.put(DAY, transitions(*(transition(index) for index in range(count))))
    run_event_log(tenant, [DAY])


@contextmanager
def process(arguments: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def add(workspace: Workspace, url: str, *arguments: str) -> tuple[str, str]:
    made = murmur(workspace, "webhook", "add", "--tenant", "acme", url, "--allow-private", *arguments)
    return made["endpoint_id"], made["secret"]


def test_from_an_endpoint_to_a_verified_line(workspace: Workspace, tenant: Tenant) -> None:
    """Commands as processes: a receiver that knows the secret prints what was sent to it."""
    environment = {"MURMUR_LISTEN_SECRET": SECRET, "SHOP_SECRET": SECRET}
    with process(["-m", "pipelines.cli", "listen", "--port", "0", "--count", "3"], **environment) as listener:
        assert listener.stderr is not None
        found = re.search(r"http://127.0.0.1:\d+", listener.stderr.readline())
        assert found
        declared = workspace.tenants / "acme" / "destinations" / "shop.yaml"
        declared.parent.mkdir()
        declared.write_text(f"kind: webhook\nurl: {found[0]}\nsecret_env: SHOP_SECRET\nallow_private: true\n")
        publish(tenant, 3)
        command = ["-m", "pipelines.cli", *where(workspace), "deliver", "--once", "--tenant", "acme", "--json"]
        with process(command, **environment) as delivering:
            out, error = delivering.communicate(timeout=60)
            assert delivering.returncode == 0, error
            assert json.loads(out)["delivered"] == 3
        lines, _ = listener.communicate(timeout=60)
        assert listener.returncode == 0
    expected = [f"cohort.entered  fv_{index}  high_value_cart_abandoner  249.50 GBP" for index in range(3)]
    assert sorted(lines.splitlines()) == expected


def test_the_listener_answers_401_400_and_200(workspace: Workspace) -> None:
    taken: list[dict[str, Any]] = []
    server = make_server(0, verifying(SECRET, taken.append))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    body = json.dumps({"id": "e", "timestamp": int(time.time())}).encode()
    answers = []
    for headers in ({}, {"X-Flock-Signature": "0" * 64}, {"X-Flock-Signature": flock_signature(SECRET, body)}):
        request = urllib.request.Request(f"http://127.0.0.1:{server.server_address[1]}/", body, headers)
        try:
            with urllib.request.urlopen(request) as response:  # noqa: S310
                answers.append((response.status, json.load(response)))
        except urllib.error.HTTPError as refused:
            with refused:
                answers.append((refused.code, json.load(refused)))
    server.shutdown()
    server.server_close()
    assert [status for status, _ in answers] == [401, 400, 200]
    assert answers[0][1] == {"error": "Missing signature header"}
    assert answers[2][1] == {"received": True}
    assert [event["id"] for event in taken] == ["e"]


def test_add_list_and_deliveries(workspace: Workspace, tenant: Tenant) -> None:
    with receiver(Reply(200), Reply(400)) as box:
        endpoint_id, secret = add(workspace, box.url, "--cohort", "high_value_cart_abandoner", "--description", "shop")
        publish(tenant, 2)
        done = murmur(workspace, "deliver", "--once")
        assert (done["events"], done["delivered"], done["dead"], done["pending"]) == (2, 1, 1, 0)
    (listed,) = murmur(workspace, "webhook", "list", "--tenant", "acme")
    assert listed["endpoint_id"] == endpoint_id
    assert listed["filters"] == {"cohort_id": ["high_value_cart_abandoner"]}
    assert secret not in json.dumps(listed)
    rows = murmur(workspace, "webhook", "deliveries", "--state", "dead")
    assert [(row["type"], row["last_status"], row["last_error"]) for row in rows] == [
        ("cohort.entered", 400, "status_400")
    ]
    assert len(murmur(workspace, "webhook", "deliveries", "--limit", "5")) == 2
    human = CliRunner().invoke(cli, [*where(workspace), "webhook", "deliveries"])
    assert "delivered" in human.output


def test_replay_of_one_and_of_a_span(workspace: Workspace, tenant: Tenant) -> None:
    with receiver(Reply(400), Reply(200)) as box:
        endpoint_id, _ = add(workspace, box.url)
        publish(tenant, 1)
        murmur(workspace, "deliver", "--once")
        (dead,) = murmur(workspace, "webhook", "deliveries", "--state", "dead")
        assert murmur(workspace, "webhook", "replay", dead["delivery_id"]) == {"again": 1, "new": 0}
        assert murmur(workspace, "deliver", "--once")["delivered"] == 1
        span = ["--endpoint", endpoint_id, "--from", "2020-01-01", "--to", "2100-01-01T00:00:00Z"]
        assert murmur(workspace, "webhook", "replay", *span) == {"again": 1, "new": 0}
        assert murmur(workspace, "deliver", "--once")["delivered"] == 1
    assert len(box.ids) == 3
    assert len(set(box.ids)) == 1
    with pytest.raises(UsageError):
        murmur(workspace, "webhook", "replay")


def test_a_test_event_says_what_the_receiver_answered(workspace: Workspace) -> None:
    with receiver(Reply(200), Reply(500)) as box:
        endpoint_id, _ = add(workspace, box.url)
        assert murmur(workspace, "webhook", "test", endpoint_id)["status"] == 200
        with pytest.raises(MurmurError, match="status_500"):
            murmur(workspace, "webhook", "test", endpoint_id)


def test_rotate_shows_another_secret(workspace: Workspace) -> None:
    endpoint_id, secret = add(workspace, "http://127.0.0.1:9/")
    assert murmur(workspace, "webhook", "rotate", endpoint_id)["secret"] not in ("", secret)


def test_disable_enable_and_remove(workspace: Workspace) -> None:
    endpoint_id, _ = add(workspace, "http://127.0.0.1:9/")
    for command, state in (("disable", "disabled"), ("enable", "active")):
        CliRunner().invoke(cli, [*where(workspace), "webhook", command, endpoint_id])
        assert murmur(workspace, "webhook", "list")[0]["state"] == state
    CliRunner().invoke(cli, [*where(workspace), "webhook", "remove", endpoint_id])
    assert murmur(workspace, "webhook", "list") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["webhook", "add", "--tenant", "nobody", "https://example.com/"],
        ["webhook", "add", "--tenant", "acme", "http://example.com/"],
        ["webhook", "add", "--tenant", "acme", "https://example.com/", "--event", "cohort.entred"],
        ["webhook", "rotate", "ep_none"],
        ["webhook", "test", "ep_none"],
        ["webhook", "replay", "dl_none"],
        ["webhook", "list", "--tenant", "nobody"],
        ["deliver", "--once", "--tenant", "nobody"],
        ["listen", "--secret", "nonsense"],
    ],
)
def test_wrong_use_is_one_line_and_makes_nothing(workspace: Workspace, arguments: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        murmur(workspace, *arguments)
    assert "\n" not in str(raised.value)
    assert "nonsense" not in str(raised.value)


def test_the_resident_worker_takes_new_events_and_stops_when_told(workspace: Workspace, tenant: Tenant) -> None:
    with receiver() as box:
        add(workspace, box.url)
        with process(["-m", "pipelines.cli", *where(workspace), "deliver", "--json"]) as worker:
            assert worker.stderr is not None
            assert "delivering" in worker.stderr.readline()
            publish(tenant, 2)
            for _ in range(600):
                if len(box.received) == 2:
                    break
                time.sleep(0.05)
            worker.send_signal(signal.SIGTERM)
            out, _ = worker.communicate(timeout=30)
            assert worker.returncode == 0
            assert json.loads(out)["delivered"] == 2
