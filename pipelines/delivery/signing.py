"""Signatures of a request: Standard Webhooks, Flock and the idempotency key, all on every request.

Also makes secrets. Storing them is the control data's, checking them is ``receiver``'s.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from pipelines.errors import UsageError

PREFIX = "whsec_"
SECRET_BYTES = 32
MIN_SECRET_BYTES = 16


def make_secret(random_bytes: bytes) -> str:
    """The text of a secret, as it is shown once."""
    return PREFIX + base64.b64encode(random_bytes).decode()


def key_of(secret: str) -> bytes:
    """The bytes that a Standard Webhooks signature is keyed with.

    Raises:
        UsageError: the text is not ``whsec_`` and base64 of at least 16 bytes; the message does not repeat it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) < MIN_SECRET_BYTES:
        raise UsageError(f"a webhook secret is {PREFIX} and base64 of at least {MIN_SECRET_BYTES} bytes")
    return key


def standard_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """``v1,<base64 HMAC-SHA256 of id.timestamp.body>``."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()


def flock_signature(secret: str, body: bytes) -> str:
    """64 lower-case hex digits: HMAC-SHA256 of the body, keyed with the secret's whole text."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signature_headers(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Headers that sign one attempt.

    Args:
        secrets: the newest first; every one signs the Standard Webhooks way, the newest alone the Flock way, which
            has room for one.
        message_id: id of the event, the same on every attempt.
        timestamp: seconds of this attempt.
        body: exactly the bytes that are sent.
    """
    signatures = " ".join(standard_signature(secret, message_id, timestamp, body) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures,
        "X-Flock-Signature": flock_signature(secrets[0], body),
        "Idempotency-Key": message_id,
    }
