"""Receivers that do what no receiver should, each through the whole worker."""

from __future__ import annotations

import ipaddress
import resource
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from sqlalchemy import select

from pipelines.delivery import client
from pipelines.delivery.client import READ_CAP
from pipelines.delivery.deliver import Control
from pipelines.delivery.resolver import ThreadResolver
from pipelines.delivery.retry import DEADLINE_SECONDS
from pipelines.delivery.worker import drain
from pipelines.storage.control.tables import attempts, deliveries, endpoints
from tests.delivery import hostile as behaviours
from tests.delivery.hostile import Behaviour, empty, hostile
from tests.delivery.receivers import FakeClock, Reply, add_endpoint, fill, make_worker, receiver, rows_of

TOTAL = 0.6
#: What a receiver does is the same for both databases.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def tried(control: Control, clock: FakeClock, url: str, **wish: Any) -> dict[str, Any]:
    """The one row of the ledger after one attempt at a URL."""
    add_endpoint(control, url, **wish)
    fill(control, clock, 1)
    drain(make_worker(control, clock, total_seconds=TOTAL))
    (row,) = rows_of(control, select(attempts))
    return row


@pytest.mark.parametrize(
    ("behave", "outcome", "error"),
    [
        (behaviours.no_answer, "retry", "timeout"),
        (behaviours.slow_headers, "retry", "timeout"),
        (behaviours.endless_continue, "retry", "timeout"),
        (behaviours.endless_headers, "retry", "protocol"),
        (behaviours.slow_body, "delivered", None),
        (behaviours.endless_body, "delivered", None),
        (behaviours.reset_after_2xx, "delivered", None),
        (behaviours.gzip_bomb, "delivered", None),
    ],
)
def test_a_hostile_receiver_costs_neither_time_nor_memory(
    control: Control, clock: FakeClock, behave: Behaviour, outcome: str, error: str | None
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile(behave) as box:
        started = time.monotonic()
        row = tried(control, clock, box.url())
        assert time.monotonic() - started < TOTAL + 8
    assert (row["outcome"], row["error_class"]) == (outcome, error)
    # Inflated, the bomb has 50 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
    assert len((row["response"] or "").encode()) <= 1024


def test_no_more_than_the_cap_is_read(control: Control, clock: FakeClock) -> None:
    read: list[int] = []

    def counted(connection: socket.socket, ended: Any) -> None:
        connection.sendall(behaviours.OK + b"Content-Length: 100000000\r\n\r\n")
        connection.settimeout(1)
        try:
            while not ended.is_set():
                read.append(connection.send(b"a" * 65536))
        except OSError:
            return

    with hostile(counted) as box:
        assert tried(control, clock, box.url())["outcome"] == "delivered"
    # What fits into the buffers of both sides was sent as well, but nothing near the whole.
    assert READ_CAP <= sum(read) < 20_000_000


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_a_private_address_is_not_followed(control: Control, clock: FakeClock, status: int) -> None:
    with hostile(empty) as inner, receiver(Reply(status, {"Location": inner.url()})) as box:
        row = tried(control, clock, box.url)
        assert inner.connections == 0
    assert (row["outcome"], row["error_class"]) == ("dead", "redirect")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "64:ff9b::a9fe:a9fe"])
def test_a_name_that_leads_inside_is_stopped_at_the_socket(
    control: Control, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    answer_with(monkeypatch, [address])
    row = tried(control, clock, "https://rebinds.example/hook", allow_private=False)
    assert (row["outcome"], row["error_class"]) == ("dead", "blocked_address")


def test_a_name_that_rebinds_between_two_attempts_finds_no_window(
    control: Control, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is a public address, where nobody takes the connection; the next one is inside."""
    public, real = "8.8.4.4", client.public_socket

    def refused(addr_info: Any) -> socket.socket:
        real(addr_info).close()
        raise ConnectionRefusedError

    monkeypatch.setattr(client, "public_socket", refused)
    asked = answer_with(monkeypatch, [public], ["127.0.0.1"])
    with hostile(empty) as box:
        add_endpoint(control, "https://rebinds.example:8443/hook", allow_private=False)
        fill(control, clock, 1)
        worker = make_worker(control, clock, total_seconds=TOTAL)
        assert drain(worker) == {"retry": 1}
        clock.forward(6)
        assert drain(worker) == {"dead": 1}
        assert box.connections == 0
    errors = [row["error_class"] for row in rows_of(control, select(attempts).order_by(attempts.c.attempt_id))]
    assert (errors[-1], len(asked)) == ("blocked_address", 2)


def answer_with(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server with one answer after another; the names that it was asked for."""
    asked: list[str] = []

    async def resolve(self: ThreadResolver, host: str, port: int = 0, family: int = 0) -> list[Any]:
        asked.append(host)
        kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": kinds[ipaddress.ip_address(address).version],
                "proto": socket.IPPROTO_TCP,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in answers[min(len(asked), len(answers)) - 1]
        ]

    monkeypatch.setattr(ThreadResolver, "resolve", resolve)
    return asked


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return made


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def test_a_good_certificate_is_accepted(control: Control, clock: FakeClock, authority: trustme.CA) -> None:
    with hostile(empty, serving(authority.issue_cert("localhost"))) as box:
        assert tried(control, clock, box.url("https", "localhost"))["outcome"] == "delivered"
    assert box.requests[0].startswith(b"POST /hook")


@pytest.mark.parametrize("wrong", ["expired", "self-signed", "another host"])
def test_a_wrong_certificate_gets_nothing(
    control: Control, clock: FakeClock, authority: trustme.CA, wrong: str
) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    certificates = {
        "expired": lambda: authority.issue_cert("localhost", not_before=past - timedelta(days=1), not_after=past),
        "self-signed": lambda: trustme.CA().issue_cert("localhost"),
        "another host": lambda: authority.issue_cert("elsewhere.example"),
    }
    with hostile(empty, serving(certificates[wrong]())) as box:
        row = tried(control, clock, box.url("https", "localhost"))
        assert box.requests == []
    assert (row["outcome"], row["error_class"]) == ("retry", "tls")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("999999999999999999999999", DEADLINE_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DEADLINE_SECONDS),
        ("soon", 5),
        ("-3", 5),
        ("1e9", 5),
    ],
)
def test_retry_after_is_heeded_clamped_or_ignored(
    control: Control, clock: FakeClock, header: str, seconds: int
) -> None:
    with receiver(Reply(429, {"Retry-After": header})) as box:
        row = tried(control, clock, box.url)
    (waiting,) = rows_of(control, select(deliveries))
    (paused,) = rows_of(control, select(endpoints))
    assert row["outcome"] == "retry"
    wait = (waiting["next_attempt_at"] - row["at"]) / 1_000_000
    assert seconds <= wait <= max(seconds * 1.1, seconds + 1)
    assert paused["paused_until"] is not None


def test_a_name_server_that_hangs_slows_no_other_endpoint(
    control: Control, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def asked(host: str, *arguments: Any, **settings: Any) -> Any:
        if str(host).endswith(".hangs"):
            time.sleep(1.0)
            raise socket.gaierror("no answer")
        return real(host, *arguments, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    with receiver() as box:
        port = box.url.split(":")[2]
        for number in range(12):
            add_endpoint(control, f"http://n{number}.hangs/hook", f"ep_{number}")
        add_endpoint(control, f"http://localhost:{port}", "ep_quick")
        fill(control, clock, 3)
        assert drain(make_worker(control, clock, total_seconds=0.5)) == {"retry": 36, "delivered": 3}
    quick = [row for row in rows_of(control, select(attempts)) if row["endpoint_id"] == "ep_quick"]
    assert max(row["latency_ms"] for row in quick) < 400
