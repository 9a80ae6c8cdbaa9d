"""For receivers of webhooks: check a signature and read the event. Standard library only; copy the file if you like.

``construct_event`` checks ``X-Flock-Signature``, ``verify_webhook`` the ``webhook-*`` headers (Standard Webhooks), and
``respond`` is a whole endpoint without a framework. A batch is a list of events: ``construct_events`` takes either.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

MAX_AGE_SECONDS = 300
_PREFIX = "whsec_"


class SignatureError(Exception):
    """The request is not to be trusted; ``status`` and the text are what to answer."""

    status = 400


class MissingSignatureError(SignatureError):
    """The request carries no signature."""

    status = 401

    def __init__(self) -> None:
        super().__init__("Missing signature header")


def construct_event(
    secret: str,
    signature: str | None,
    payload: bytes,
    max_age: float = MAX_AGE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """The event of a request with an ``X-Flock-Signature`` header.

    Args:
        secret: as it was shown, ``whsec_`` included.
        signature: value of the header.
        payload: the body exactly as received.
        max_age: seconds that the signed ``timestamp`` of the body may be away from now, either way.
        now: seconds since the epoch; the clock where not given.

    Raises:
        MissingSignatureError: there is no signature.
        SignatureError: it is wrong, too old, or the body is no event.
    """
    return _only(construct_events(secret, signature, payload, max_age, now))


def construct_events(
    secret: str,
    signature: str | None,
    payload: bytes,
    max_age: float = MAX_AGE_SECONDS,
    now: float | None = None,
) -> list[dict[str, Any]]:
    """As ``construct_event``, for requests that may carry a batch: its events, or the one event."""
    if not signature:
        raise MissingSignatureError
    expected = hmac.new(secret.encode(), payload, "sha256").hexdigest()
    # Bytes, because comparing text raises where a sender puts something else than ASCII.
    if not hmac.compare_digest(expected.encode(), signature.strip().encode("utf-8", "surrogateescape")):
        raise SignatureError("Invalid signature")
    events = _parsed(payload)
    for event in events:
        _check_age(event.get("timestamp"), max_age, now)
    return events


def verify_webhook(
    secret: str,
    headers: Mapping[str, str],
    payload: bytes,
    max_age: float = MAX_AGE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """The event of a request with ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature`` headers.

    Raises:
        MissingSignatureError: one of them is missing.
        SignatureError: no signature fits, the timestamp is too far away, or the body is no event.
    """
    return _only(verify_webhooks(secret, headers, payload, max_age, now))


def verify_webhooks(
    secret: str,
    headers: Mapping[str, str],
    payload: bytes,
    max_age: float = MAX_AGE_SECONDS,
    now: float | None = None,
) -> list[dict[str, Any]]:
    """As ``verify_webhook``, for requests that may carry a batch: its events, or the one event."""
    found = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = found.get("webhook-id"), found.get("webhook-timestamp")
    signatures = found.get("webhook-signature")
    if not (message_id and timestamp and signatures):
        raise MissingSignatureError
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape") + payload
    expected = base64.b64encode(hmac.digest(_key(secret), signed, "sha256"))
    offered = [text[3:].encode("utf-8", "surrogateescape") for text in signatures.split() if text.startswith("v1,")]
    # Every one is compared, so that the time taken does not tell which fits.
    if not any([hmac.compare_digest(expected, text) for text in offered]):
        raise SignatureError("Invalid signature")
    _check_age(int(timestamp) if timestamp.isascii() and timestamp.isdigit() else None, max_age, now)
    events = _parsed(payload)
    # A batch has an id of its own, and Flock's shape has none in its body.
    alone = len(events) == 1 and not message_id.startswith("batch_")
    if alone and events[0].get("id", message_id) != message_id:
        raise SignatureError("The header names another event than the body")
    return events


def respond(
    secret: str, headers: Mapping[str, str], payload: bytes, now: float | None = None
) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """Answer one request: status, JSON to answer with, and the events; none where they are not to be trusted.

    Takes either scheme; where both are there, both must hold.
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        events = None
        if "webhook-signature" in found:
            events = verify_webhooks(secret, found, payload, now=now)
        if events is None or "x-flock-signature" in found:
            events = construct_events(secret, found.get("x-flock-signature"), payload, now=now)
    except SignatureError as error:
        return error.status, {"error": str(error)}, []
    return 200, {"received": True}, events


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("The secret of this receiver is not whsec_ and base64") from None


def _only(events: list[dict[str, Any]]) -> dict[str, Any]:
    if len(events) != 1:
        raise SignatureError("The body is a batch of events")
    return events[0]


def _parsed(payload: bytes) -> list[dict[str, Any]]:
    try:
        body = json.loads(payload)
    except ValueError:
        raise SignatureError("The body is not JSON") from None
    events = body if isinstance(body, list) else [body]
    if not events or not all(isinstance(event, dict) for event in events):
        raise SignatureError("The body is not an event")
    return events


def _check_age(timestamp: Any, max_age: float, now: float | None) -> None:
    seconds = _seconds(timestamp)
    if seconds is None:
        raise SignatureError("The timestamp is missing")
    if not abs((time.time() if now is None else now) - seconds) <= max_age:
        raise SignatureError("The timestamp is too far from now")


def _seconds(timestamp: Any) -> float | None:
    """Seconds since the epoch of a number, or of ISO text with an offset, as one of Flock's two shapes has it."""
    if isinstance(timestamp, str):
        try:
            instant = datetime.fromisoformat(timestamp)
        except ValueError:
            return None
        return instant.timestamp() if instant.tzinfo else None
    return timestamp if isinstance(timestamp, int | float) and not isinstance(timestamp, bool) else None
