"""For receivers of webhooks: check a signature and read the event. Standard library only; copy the file if you like.

``construct_event`` checks ``X-Flock-Signature``, ``verify_webhook`` the ``webhook-*`` headers (Standard Webhooks), and
``respond`` is a whole endpoint without a framework.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping
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
    if not signature:
        raise MissingSignatureError
    expected = hmac.new(secret.encode(), payload, "sha256").hexdigest()
    # Bytes, because comparing text raises where a sender puts something else than ASCII.
    if not hmac.compare_digest(expected.encode(), signature.strip().encode("utf-8", "surrogateescape")):
        raise SignatureError("Invalid signature")
    event = _parsed(payload)
    _check_age(event.get("timestamp"), max_age, now)
    return event


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
    event = _parsed(payload)
    if event.get("id") != message_id:
        raise SignatureError("The header names another event than the body")
    return event


def respond(
    secret: str, headers: Mapping[str, str], payload: bytes, now: float | None = None
) -> tuple[int, dict[str, Any], dict[str, Any] | None]:
    """Answer one request: status, JSON to answer with, and the event where it is to be trusted.

    Takes either scheme; where both are there, both must hold.
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        event = None
        if "webhook-signature" in found:
            event = verify_webhook(secret, found, payload, now=now)
        if event is None or "x-flock-signature" in found:
            event = construct_event(secret, found.get("x-flock-signature"), payload, now=now)
    except SignatureError as error:
        return error.status, {"error": str(error)}, None
    return 200, {"received": True}, event


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("The secret of this receiver is not whsec_ and base64") from None


def _parsed(payload: bytes) -> dict[str, Any]:
    try:
        event = json.loads(payload)
    except ValueError:
        raise SignatureError("The body is not JSON") from None
    if not isinstance(event, dict):
        raise SignatureError("The body is not an event")
    return event


def _check_age(timestamp: Any, max_age: float, now: float | None) -> None:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        raise SignatureError("The timestamp is missing")
    if abs((time.time() if now is None else now) - timestamp) > max_age:
        raise SignatureError("The timestamp is too far from now")
