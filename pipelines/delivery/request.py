"""What one attempt sends: body and headers, made anew and signed for each attempt. Sending it is ``client``'s.

Formats and headers of an endpoint are decided here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import RowMapping

from pipelines.delivery.envelope import Event, encode, envelope
from pipelines.delivery.instants import SECOND
from pipelines.delivery.signing import signature_headers
from pipelines.storage.control.cipher import Cipher


@dataclass(frozen=True)
class Target:
    """What an endpoint says about the requests that it gets; secrets still encrypted."""

    endpoint_id: str
    url: str
    mode: str
    allow_private: bool
    secret: str
    previous_secret: str | None
    previous_until: int | None

    @classmethod
    def of(cls, row: RowMapping) -> Target:
        """The target of a row of ``endpoints``."""
        return cls(
            row["endpoint_id"],
            row["url"],
            row["mode"],
            row["allow_private"],
            row["secret"],
            row["previous_secret"],
            row["previous_until"],
        )


@dataclass(frozen=True)
class Request:
    """A body and the headers that belong to it and to its endpoint."""

    headers: dict[str, str]
    body: bytes


def prepare(event: Event, target: Target, host: str, cipher: Cipher, at: int) -> Request:
    """The request of one attempt.

    Args:
        event: what happened.
        target: who is told.
        host: public host of the tenant.
        cipher: opens the secrets.
        at: microseconds; its whole seconds are signed.

    Raises:
        TooLargeError: the event does not fit into a request.
        MurmurError: a secret does not open.
        ValueError: the data of the event are not what they should be.
    """
    seconds = at // SECOND
    body = encode(envelope(event, host, seconds))
    return Request(signature_headers(_secrets(cipher, target, at), event.event_id, seconds, body), body)


def _secrets(cipher: Cipher, target: Target, at: int) -> list[str]:
    """Live secrets, the newest first."""
    found = [_opened(cipher, target.secret, target.endpoint_id)]
    if target.previous_secret and target.previous_until and at < target.previous_until:
        found.append(_opened(cipher, target.previous_secret, target.endpoint_id))
    return found


@lru_cache(maxsize=4096)
def _opened(cipher: Cipher, stored: str, owner: str) -> str:
    return cipher.decrypt(stored, owner)
