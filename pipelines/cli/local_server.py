"""A small server on the loopback address for commands that receive webhooks: one function answers every POST."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipelines.cli.output import note
from pipelines.errors import MurmurError

MAX_BODY = 1 << 20
READ_SECONDS = 10
Answering = Callable[[Mapping[str, str], bytes], tuple[int, dict[str, Any]]]


@contextmanager
def serving(port: int, answering: Answering) -> Iterator[int]:
    """Serve for the length of a block; gives the port.

    Args:
        port: 0 picks a free one.
        answering: headers and body of a request to the status and JSON of its answer; called in threads.

    Raises:
        MurmurError: the port is taken.
    """
    try:
        server = make_server(port, answering)
    except OSError as error:
        raise MurmurError(f"cannot listen on port {port}: {error.strerror}; choose another with --port") from None
    bound = int(server.server_address[1])
    note(f"listening on http://127.0.0.1:{bound}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield bound
    finally:
        server.shutdown()
        server.server_close()


def make_server(port: int, answering: Answering) -> ThreadingHTTPServer:
    """The server, not yet serving."""

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
            status, answer = answering(dict(self.headers.items()), payload)
            if status != 200:
                note(f"refused with {status}: {answer.get('error')}")
            self._answer(status, answer)

        def do_OPTIONS(self) -> None:
            """Allow whoever asks, as the CloudEvents handshake has it."""
            origin = self.headers.get("WebHook-Request-Origin")
            self._answer(200, {}, {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"} if origin else {})

        def _answer(self, status: int, answer: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
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
