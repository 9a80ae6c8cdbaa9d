"""A receiver of webhooks: verify, drop what was seen, do something, answer. Python's standard library alone.

    WEBHOOK_SECRET=whsec_... PORT=8000 python receiver.py

What was seen is kept in a file, so that a retry after a restart is still recognised.
"""

import json
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer

from pipelines.delivery.receiver import SignatureError, construct_event  # one file without dependencies: copy it

SECRET = os.environ["WEBHOOK_SECRET"]
SEEN = sqlite3.connect(os.environ.get("SEEN", "seen.db"))
SEEN.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")


def handle(event: dict) -> None:
    """Whatever your business is. An event for which this raises is not answered, and comes again."""
    print(event["type"], event["subject"], event["data"].get("cart_total_value"), flush=True)


class Hooks(BaseHTTPRequestHandler):
    """Answers every POST."""

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = construct_event(SECRET, self.headers.get("X-Flock-Signature"), payload, max_age=300)
        except SignatureError as error:
            return self.answer(error.status, {"error": str(error)})
        # The same transaction: an event counts as seen only if it was handled.
        with SEEN:
            if SEEN.execute("INSERT OR IGNORE INTO seen VALUES (?)", [event["id"]]).rowcount:
                handle(event)
        return self.answer(200, {"received": True})

    def answer(self, status: int, body: dict) -> None:
        """Send a JSON answer."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hooks).serve_forever()
