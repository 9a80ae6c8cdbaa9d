from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from pipelines.delivery import endpoints
from pipelines.delivery.client import Answer
from pipelines.delivery.deliver import Control
from pipelines.delivery.handshake import Asker, Permission, due, permission, shake
from pipelines.delivery.instants import SECOND, micros
from pipelines.storage.control import reading
from pipelines.storage.control.tables import deliveries
from tests.delivery.receivers import NOON, FakeClock, add_endpoint, fill, rows_of

HOST = "murmuration.example"
AT = micros(NOON)


@contextmanager
def answering(**headers: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A receiver that answers OPTIONS with these headers, and what it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def state(control: Control) -> tuple[str, str | None]:
    with reading(control.engine) as connection:
        found = endpoints.get(connection, "ep_one")
    return found.state, found.handshake_result


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {"webhook-allowed-origin": HOST}, Permission("allowed")),
        (204, {"webhook-allowed-origin": "*"}, Permission("allowed")),
        (200, {"webhook-allowed-origin": f"other.example, {HOST}"}, Permission("allowed")),
        (200, {"webhook-allowed-origin": HOST, "webhook-allowed-rate": "120"}, Permission("allowed", 120)),
        (200, {"webhook-allowed-origin": HOST, "webhook-allowed-rate": "59"}, Permission("rate_too_low", 59)),
        (200, {"webhook-allowed-origin": HOST, "webhook-allowed-rate": "*"}, Permission("allowed")),
        (200, {"webhook-allowed-origin": HOST, "webhook-allowed-rate": "soon"}, Permission("allowed")),
        (200, {"webhook-allowed-origin": "other.example"}, Permission("origin_not_allowed")),
        (200, {}, Permission("origin_not_allowed")),
        (405, {"webhook-allowed-origin": "*"}, Permission("status_405")),
        (302, {"webhook-allowed-origin": "*"}, Permission("status_302")),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], expected: Permission) -> None:
    assert permission(Answer(status, None, 1), headers, HOST) == expected


def test_no_answer_is_no_permission() -> None:
    assert permission(Answer(None, "timeout", 1), {}, HOST) == Permission("timeout")


def test_a_required_handshake_keeps_events_until_the_receiver_allows_them(control: Control, clock: FakeClock) -> None:
    with answering(WebHook_Allowed_Origin=HOST, WebHook_Allowed_Rate="300") as (url, asked):
        add_endpoint(control, url, handshake="required", rate=50)
        assert state(control) == ("disabled", None)
        fill(control, clock, 2)
        assert shake(control.engine, "ep_one", HOST, AT).granted
    assert (asked[0]["webhook-request-origin"], asked[0]["webhook-request-rate"]) == (HOST, "3000")
    assert state(control) == ("active", "allowed")
    assert [row["state"] for row in rows_of(control, select(deliveries))] == ["pending", "pending"]
    with reading(control.engine) as connection:
        assert endpoints.get(connection, "ep_one").rate == 5


def test_a_receiver_that_does_not_allow_it_gets_nothing(control: Control) -> None:
    with answering() as (url, _):
        add_endpoint(control, url, handshake="required")
        assert not shake(control.engine, "ep_one", HOST, AT).granted
    assert state(control) == ("disabled", "origin_not_allowed")


def test_a_required_permission_can_be_withdrawn_and_an_optional_one_only_tells(control: Control) -> None:
    with answering(WebHook_Allowed_Origin="*") as (url, _):
        add_endpoint(control, url, handshake="required")
        shake(control.engine, "ep_one", HOST, AT)
    shake(control.engine, "ep_one", HOST, AT)
    assert state(control) == ("disabled", "connect")
    add_endpoint(control, "http://127.0.0.1:9/", "ep_optional", handshake="optional")
    shake(control.engine, "ep_optional", HOST, AT)
    with reading(control.engine) as connection:
        found = endpoints.get(connection, "ep_optional")
    assert (found.state, found.handshake_result) == ("active", "connect")


def test_who_is_due_is_asked_once_a_minute_and_others_never(control: Control) -> None:
    with answering() as (url, asked):
        add_endpoint(control, url, handshake="required")
        add_endpoint(control, url, "ep_off")
        add_endpoint(control, url, "ep_optional", handshake="optional")
        asker = Asker(control.engine, {"acme": HOST})
        for seconds in (0, 30, 61):
            asker.ask_due(AT + seconds * SECOND, wait=True)
        assert len(asked) == 3
    with reading(control.engine) as connection:
        assert due(connection, "acme", AT + 62 * SECOND) == []
        assert due(connection, "acme", AT + 122 * SECOND) == ["ep_one"]


def test_the_handshake_goes_through_the_same_guard(control: Control) -> None:
    wish = {"allow_private": True, "handshake": "required"}
    endpoint = add_endpoint(control, "http://127.0.0.1:9/", **wish)
    with reading(control.engine) as connection:
        assert endpoints.get(connection, endpoint.endpoint_id).state == "disabled"
    add_endpoint(control, "https://localhost/", "ep_public", allow_private=False, handshake="required")
    assert shake(control.engine, "ep_public", HOST, AT).result == "blocked_address"


def test_nobody_is_asked_for_a_sandbox(control: Control) -> None:
    with answering() as (url, asked):
        add_endpoint(control, url, mode="sandbox", handshake="required")
        assert shake(control.engine, "ep_one", HOST, AT).granted
    assert asked == []
    assert state(control) == ("active", "allowed")
