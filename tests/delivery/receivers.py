"""Real receivers on the loopback address that answer by script, and builders of control data for tests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import polars as pl

from pipelines.delivery import endpoints
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import micros
from pipelines.delivery.outbox import fill_outbox
from pipelines.delivery.worker import Worker
from pipelines.storage.control import writing
from schemas.tables import COHORT_TRANSITIONS, EVENT_LOG

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
DAY = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@dataclass
class Reply:
    """One scripted answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"received": true}'
    delay: float = 0.0
    before: Callable[[], None] = lambda: None


@dataclass
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server with a list of what it received; the last reply of its script repeats."""

    replies: list[Reply]
    received: list[Received] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Received) -> Reply:
        with self.lock:
            self.received.append(request)
            return self.replies[min(len(self.received), len(self.replies)) - 1]

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.received]


@contextmanager
def receiver(*replies: Reply) -> Iterator[Receiver]:
    """A receiver on a free port for the length of a test."""
    box = Receiver(list(replies) or [Reply()])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = box.take(Received(self.path, headers, body))
            reply.before()
            time.sleep(reply.delay)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    box.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class FakeClock:
    """A clock that moves when it is told to; starts at the real time, since receivers check ages."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def transition(index: int = 0, *, day: date = DAY, **changes: Any) -> dict[str, Any]:
    """A row of ``cohort_transitions``."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return {
        "date": day,
        "cohort_id": "high_value_cart_abandoner",
        "definition_version": "1",
        "subject": f"fv_{index}",
        "effective_at": noon + timedelta(seconds=index),
        "direction": "entered",
        "transition_id": f"t{index}",
        "subject_type": "visitor",
        "flockr_vid": f"fv_{index}",
        "caused_by": "silence",
        "cart_total_value_minor": 24950,
        "currency": "GBP",
        "cart_product_ids": '["sku-1","sku-2"]',
        "top_signal": "scarcity",
        **changes,
    }


def transitions(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=COHORT_TRANSITIONS.schema)


def told(count: int, start: int = 0) -> pl.DataFrame:
    """Rows of ``event_log`` that are to be sent."""
    from pipelines.delivery.event_log import difference

    rows = transitions(*(transition(index) for index in range(start, start + count)))
    return difference(rows, EVENT_LOG.empty(), detected_at=NOON, newest=DAY)


def add_endpoint(control: Control, url: str, name: str = "ep_one", **wish: Any) -> endpoints.Endpoint:
    """An endpoint of ``acme`` that may be on the loopback address."""
    wanted = endpoints.Wish(**{"tenant": "acme", "url": url, "allow_private": True, **wish})
    with writing(control.engine) as connection:
        return endpoints.add(connection, control.cipher, name, wanted, SECRET, micros(NOON))


def fill(control: Control, clock: FakeClock, count: int, start: int = 0) -> pl.DataFrame:
    rows = told(count, start)
    fill_outbox(control.engine, "acme", rows, micros(clock()))
    return rows


def make_worker(control: Control, clock: FakeClock, seed: int = 1, **settings: Any) -> Worker:
    hosts = {"acme": "murmuration.example"}
    return Worker(control.engine, control.cipher, hosts, clock, random.Random(seed), **settings)


def rows_of(control: Control, query: Any) -> list[dict[str, Any]]:
    with writing(control.engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def states(control: Control) -> Sequence[str]:
    from sqlalchemy import select

    from pipelines.storage.control.tables import deliveries

    return [row["state"] for row in rows_of(control, select(deliveries).order_by(deliveries.c.delivery_id))]
