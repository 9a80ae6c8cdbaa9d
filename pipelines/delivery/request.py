"""The request of one attempt, made anew and signed for each: body, signatures, and the headers of the endpoint's owner.

Sending it is ``client``'s, what its body looks like ``formats``'s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.delivery.envelope import Event
from pipelines.delivery.formats import message
from pipelines.delivery.instants import SECOND
from pipelines.delivery.signing import signature_headers
from pipelines.delivery.target import Target, opened, secrets_of
from pipelines.storage.control.cipher import Cipher


@dataclass(frozen=True)
class Request:
    """A body and every header but those of HTTP itself."""

    headers: dict[str, str]
    body: bytes


def prepare(events: Sequence[Event], target: Target, public_host: str, cipher: Cipher, at: int) -> Request:
    """The request of one attempt.

    Args:
        events: one, or several where the endpoint takes batches.
        target: who is told.
        public_host: of the tenant.
        cipher: opens the secrets.
        at: microseconds; its whole seconds are signed.

    Raises:
        TooLargeError: it does not fit into a request.
        MurmurError: a secret or the owner's headers do not open.
        ValueError: the data of an event are not what they should be.
    """
    seconds = at // SECOND
    sent = message(events, target.manner, public_host, seconds)
    own = json.loads(opened(cipher, target.headers, target.endpoint_id)) if target.headers else {}
    signed = signature_headers(secrets_of(cipher, target, at), sent.message_id, seconds, sent.body)
    return Request({**own, "Content-Type": sent.content_type, **signed}, sent.body)
