"""One attempt at a claimed delivery: the request is made, sent, and what follows is decided. No SQL here."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from typing import Protocol

from pipelines.delivery.claims import Claim
from pipelines.delivery.client import Answer, Sender
from pipelines.delivery.envelope import TooLargeError, encode, envelope
from pipelines.delivery.instants import SECOND
from pipelines.delivery.redaction import bare_url
from pipelines.delivery.retry import Decision, decide
from pipelines.delivery.settling import Attempt
from pipelines.delivery.signing import signature_headers
from pipelines.delivery.target import secrets_of
from pipelines.errors import MurmurError
from pipelines.storage.control.cipher import Cipher

LOG = logging.getLogger(__name__)


class Means(Protocol):
    """What an attempt needs of its worker."""

    @property
    def cipher(self) -> Cipher:
        """Opens the secrets."""

    @property
    def hosts(self) -> Mapping[str, str]:
        """Public host by tenant."""

    @property
    def randomness(self) -> random.Random:
        """For jitter."""

    @property
    def total_seconds(self) -> float:
        """Deadline of one request."""

    @property
    def lease_seconds(self) -> int:
        """How long a claim holds."""

    def now(self) -> int:
        """Microseconds since the epoch."""


async def attempt(means: Means, sender: Sender, item: Claim, claimed: float) -> Attempt | None:
    """Make one attempt; whatever happens becomes a row of the ledger.

    Args:
        means: clock, secrets and settings.
        sender: the HTTP client.
        item: what is attempted.
        claimed: monotonic seconds when it was claimed.

    Returns:
        None where nothing was sent because the lease may end before an answer does: this process was paused, and
        somebody else may hold the delivery by now.
    """
    started = time.monotonic()
    if started - claimed > means.lease_seconds - means.total_seconds:
        return None
    at = means.now()
    answer = await _send(means, sender, item, at)
    # The wall clock may have been set in between; what an attempt takes is told by one that only goes forward.
    finished = at + int((time.monotonic() - started) * SECOND)
    decision = decide(
        answer.status,
        answer.error_class,
        retry_after=answer.retry_after,
        attempts=item.attempts + 1,
        first_attempt_at=item.first_attempt_at or at,
        now=finished,
        jitter=means.randomness.random(),
    )
    if item.purpose == "test" and decision.verdict == "retry":
        decision = Decision("dead", pause_until=decision.pause_until)
    return Attempt(
        claim=item,
        at=at,
        finished_at=finished,
        url=bare_url(item.target.url),
        decision=decision,
        status=answer.status,
        error_class=answer.error_class or _status_class(answer.status),
        latency_ms=answer.latency_ms,
        response=answer.response,
    )


async def _send(means: Means, sender: Sender, item: Claim, at: int) -> Answer:
    if item.target.mode == "sandbox":
        return Answer(204, None, 0)
    try:
        seconds = at // SECOND
        body = encode(envelope(item.event, means.hosts[item.event.tenant], seconds))
        headers = signature_headers(secrets_of(means.cipher, item.target, at), item.event.event_id, seconds, body)
    except TooLargeError:
        return Answer(None, "too_large", 0)
    except MurmurError:
        return Answer(None, "unreadable_secret", 0)
    except (ValueError, KeyError):
        return Answer(None, "invalid_event", 0)
    return await sender.post(item.target.url, headers, body, allow_private=item.target.allow_private)


def _status_class(status: int | None) -> str | None:
    if status is None or 200 <= status < 300:
        return None
    return "redirect" if 300 <= status < 400 else f"status_{status}"
