"""``murmur listen``: a local receiver that verifies webhooks and prints one line for each event."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import click

from pipelines.cli.output import json_option, note
from pipelines.delivery.receiver import respond
from pipelines.delivery.signing import key_of
from pipelines.errors import MurmurError

MAX_BODY = 1 << 20
READ_SECONDS = 10


@click.command()
@click.option("--port", default=8787, show_default=True, help="Port on the loopback address; 0 picks a free one.")
@click.option("--secret", envvar="MURMUR_LISTEN_SECRET", required=True, help="whsec_... [MURMUR_LISTEN_SECRET]")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many events.")
@json_option
def listen(port: int, secret: str, count: int | None, as_json: bool) -> None:
    """Receive webhooks, verify them, and print each event once."""
    key_of(secret)
    inbox = Inbox(count, as_json)
    try:
        server = make_server(port, secret, inbox.take)
    except OSError as error:
        raise MurmurError(f"cannot listen on port {port}: {error.strerror}; choose another with --port") from None
    note(f"listening on http://127.0.0.1:{server.server_address[1]}")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        inbox.full.wait()
    except KeyboardInterrupt:
        note("stopped")
    finally:
        server.shutdown()
        server.server_close()


class Inbox:
    """Events seen so far; prints the new ones and says when there are enough."""

    def __init__(self, count: int | None, as_json: bool) -> None:
        self.full = threading.Event()
        self._count, self._as_json = count, as_json
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def take(self, event: dict[str, Any]) -> None:
        """Print an event unless its id was seen."""
        with self._lock:
            if event.get("id") in self._seen or self.full.is_set():
                return
            self._seen.add(str(event.get("id")))
            click.echo(json.dumps(event, ensure_ascii=False) if self._as_json else line_of(event))
            if self._count is not None and len(self._seen) >= self._count:
                self.full.set()


def identified(event: dict[str, Any], message_id: str | None) -> dict[str, Any]:
    """The event with the id by which it is known; Flock's shape has none in its body, the request has."""
    return event if "id" in event or message_id is None else {**event, "id": message_id}


def line_of(event: dict[str, Any]) -> str:
    """One line: type, subject, what it is about, and its value or state."""
    data = event.get("data") or {}
    amount = data.get("cart_total_value") or data.get("ltv")
    value = f"{amount} {data.get('currency') or ''}".rstrip() if amount else data.get("to_state")
    about = next((data[name] for name in ("cohort_id", "signal_id", "dataset", "entity_id") if data.get(name)), None)
    kind = event.get("type") or event.get("name")
    subject = event.get("subject") or f"{event.get('entity')}:{event.get('entityId')}"
    return f"{kind}  {subject}  {about or '-'}  {value or '-'}"


def make_server(port: int, secret: str, take: Callable[[dict[str, Any]], None]) -> ThreadingHTTPServer:
    """A server on the loopback address that verifies each request and hands over its event."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = READ_SECONDS

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > MAX_BODY:
                self.close_connection = True
                self._answer(413 if length.isdigit() else 411, {"error": "A body of at most 1 MiB is taken"})
                return
            payload = self.rfile.read(int(length))
            status, answer, events = respond(secret, dict(self.headers.items()), payload)
            # Taken before it is answered: what was answered with 200 is not sent again.
            for event in events:
                take(identified(event, self.headers.get("webhook-id")))
            if status != 200:
                note(f"refused with {status}: {answer['error']}")
            self._answer(status, answer)

        def _answer(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are reported above."""

    class Server(ThreadingHTTPServer):
        # The default of five makes a burst of connections wait a second for a place.
        request_queue_size = 128
        daemon_threads = True

    return Server(("127.0.0.1", port), Handler)
