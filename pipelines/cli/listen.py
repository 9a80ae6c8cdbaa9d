"""``murmur listen``: a local receiver that verifies webhooks and prints one line for each event."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import click

from pipelines.cli.local_server import Answering, serving
from pipelines.cli.output import json_option, note
from pipelines.delivery.receiver import respond
from pipelines.delivery.signing import key_of


@click.command()
@click.option("--port", default=8787, show_default=True, help="Port on the loopback address; 0 picks a free one.")
@click.option("--secret", envvar="MURMUR_LISTEN_SECRET", required=True, help="whsec_... [MURMUR_LISTEN_SECRET]")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many events.")
@json_option
def listen(port: int, secret: str, count: int | None, as_json: bool) -> None:
    """Receive webhooks, verify them, and print each event once."""
    key_of(secret)
    inbox = Inbox(count, as_json)
    with serving(port, verifying(secret, inbox.take)):
        try:
            inbox.full.wait()
        except KeyboardInterrupt:
            note("stopped")


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


def verifying(secret: str, take: Callable[[dict[str, Any]], None]) -> Answering:
    """Answers requests by their signatures, and hands over the events of those that hold."""

    def answer(headers: Mapping[str, str], payload: bytes) -> tuple[int, dict[str, Any]]:
        status, said, events = respond(secret, headers, payload)
        message_id = {name.lower(): value for name, value in headers.items()}.get("webhook-id")
        # Taken before it is answered: what was answered with 200 is not sent again.
        for event in events:
            take(identified(event, message_id))
        return status, said

    return answer
