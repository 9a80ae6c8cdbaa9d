from __future__ import annotations

import socket
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.config import Workspace
from pipelines.delivery.deliver import Control, deliver
from pipelines.delivery.metrics import served
from pipelines.delivery.worker import drain
from pipelines.errors import UsageError
from tests.delivery.receivers import FakeClock, Reply, add_endpoint, fill, make_worker, receiver


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def scraped(port: int) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_what_was_done_and_how_it_stands(control: Control, clock: FakeClock) -> None:
    port = free_port()
    with (
        receiver(Reply(200), Reply(200), Reply(500)) as box,
        served(control.engine, ["acme"], clock, port, "127.0.0.1") as metrics,
    ):
        add_endpoint(control, box.url)
        fill(control, clock, 3)
        drain(replace(make_worker(control, clock), observe=metrics.observe))
        clock.forward(65)
        found = scraped(port)
    name = "murmur_webhook"
    assert found[(f"{name}_attempts_total", "", "acme", "delivered", "ep_one")] == 2
    assert found[(f"{name}_attempts_total", "acme", "ep_one", "retry", "status_500")] == 1
    assert found[(f"{name}_latency_seconds_count", "acme")] == 3
    assert found[(f"{name}_deliveries", "acme", "due")] == 1
    assert found[(f"{name}_endpoints", "acme", "active")] == 1
    assert 59 <= found[(f"{name}_oldest_due_seconds", "acme")] <= 60
    assert found[(f"{name}_control_up",)] == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_control_data_that_cannot_be_read_are_a_metric_too(control: Control, clock: FakeClock) -> None:
    port = free_port()
    with served(control.engine, ["acme"], clock, port, "127.0.0.1"):
        with control.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE deliveries")
        assert scraped(port) == {("murmur_webhook_control_up",): 0}


def test_a_port_that_is_taken_is_one_sentence(workspace: Workspace, control: Control, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(UsageError, match=rf"metrics cannot be served at 127.0.0.1:{port}"):
            deliver(workspace, once=True, clock=clock, environment={}, metrics=("127.0.0.1", port))
