"""Attempts at claimed deliveries: the requests are made, sent, and what follows is decided. No SQL here."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pipelines.delivery.cdp.attempts import Courier, Told
from pipelines.delivery.cdp.hubs import HUBS
from pipelines.delivery.cdp.tokens import Tokens
from pipelines.delivery.claims import Claim
from pipelines.delivery.client import Answer, Sender
from pipelines.delivery.envelope import TooLargeError
from pipelines.delivery.formats import fitting
from pipelines.delivery.instants import SECOND
from pipelines.delivery.redaction import bare_url
from pipelines.delivery.request import prepare
from pipelines.delivery.retry import Decision, decide
from pipelines.delivery.settling import Attempt
from pipelines.errors import MurmurError, unforeseen
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
    def tokens(self) -> Tokens:
        """Of the platforms that want one."""

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


def requests_of(means: Means, claims: Sequence[Claim]) -> list[list[Claim]]:
    """The claims of each request: one, or several first attempts where the endpoint takes batches.

    A platform's are as many as it takes, retries among them: it is ``cdp`` that finds the one that spoils a batch.
    """
    alone: list[list[Claim]] = []
    batched: dict[str, list[Claim]] = {}
    for item in claims:
        if item.target.manner.format in HUBS or (item.target.manner.batch_max > 1 and not item.attempts):
            batched.setdefault(item.target.endpoint_id, []).append(item)
        else:
            alone.append([item])
    for items in batched.values():
        manner, host = items[0].target.manner, means.hosts[items[0].event.tenant]
        if manner.format in HUBS:
            alone += [items[start : start + manner.batch_max] for start in range(0, len(items), manner.batch_max)]
            continue
        groups = fitting([item.event for item in items], manner, host, means.now() // SECOND)
        alone += [[items[position] for position in group] for group in groups]
    return alone


async def attempt(means: Means, sender: Sender, items: Sequence[Claim], claimed: float) -> list[Attempt]:
    """Make one attempt of one request; whatever happens becomes a row of the ledger for each delivery in it.

    Args:
        means: clock, secrets and settings.
        sender: the HTTP client.
        items: what is attempted.
        claimed: monotonic seconds when it was claimed.

    Returns:
        Nothing where nothing was sent because the lease may end before an answer does: this process was paused, and
        somebody else may hold the delivery by now.
    """
    started = time.monotonic()
    if started - claimed > means.lease_seconds - means.total_seconds:
        return []
    at = means.now()
    if items[0].target.manner.format in HUBS and items[0].target.mode != "sandbox":
        return await _told(means, sender, items, at, claimed)
    answer = await _send(means, sender, items, at)
    # The wall clock may have been set in between; what an attempt takes is told by one that only goes forward.
    finished = at + int((time.monotonic() - started) * SECOND)
    made = [_attempted(means, item, answer, at, finished) for item in items]
    # Which event of a batch was refused is not said, so each is tried again alone, as retries are.
    refused = len(made) > 1 and made[0].decision.verdict == "dead" and not made[0].decision.disable
    return [replace(one, decision=Decision("retry", next_attempt_at=at)) for one in made] if refused else made


async def _told(means: Means, sender: Sender, items: Sequence[Claim], at: int, claimed: float) -> list[Attempt]:
    """The attempts of a platform's claims; those that were in no request are left to the end of their lease."""
    started = time.monotonic()
    # A token may be asked for before a request, and both once more.
    requests = 4 if HUBS[items[0].target.manner.format].tokens else 1
    until = claimed + means.lease_seconds - means.total_seconds * requests
    told = await _answers(Courier(sender, means.cipher, means.tokens, means.now, until), items)
    finished = at + int((time.monotonic() - started) * SECOND)
    made = []
    for item in items:
        found = told.get(item.event.event_id)
        if found is not None:
            one = _attempted(means, item, found.answer, at, finished)
            made.append(replace(one, decision=_decided(item, found, one.decision, finished)))
    return made


async def _answers(courier: Courier, items: Sequence[Claim]) -> dict[str, Told]:
    try:
        return await courier.tell(items)
    except MurmurError:
        error_class = "unreadable_secret"
    except Exception as error:
        LOG.error("an attempt failed inside: %s", unforeseen(error))
        error_class = "internal"
    # What was taken before is not sent again for it.
    failed, known = Answer(None, error_class, 0), courier.answers
    ids = [item.event.event_id for item in items]
    return {key: Told(known[key], again=True) if key in known else Told(failed) for key in ids}


def _decided(item: Claim, told: Told, decision: Decision, finished: int) -> Decision:
    """What follows where the answer alone does not say it: keep, and stop; or try again at once."""
    if item.purpose == "test":
        return decision
    if told.ended is not None:
        return Decision("retry", next_attempt_at=finished, disable=True, because=told.ended)
    again = told.again and decision.verdict != "delivered"
    return Decision("retry", next_attempt_at=finished) if again else decision


def _attempted(means: Means, item: Claim, answer: Answer, at: int, finished: int) -> Attempt:
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


async def _send(means: Means, sender: Sender, items: Sequence[Claim], at: int) -> Answer:
    target = items[0].target
    if target.mode == "sandbox":
        return Answer(204, None, 0)
    try:
        host = means.hosts[items[0].event.tenant]
        request = prepare([item.event for item in items], target, host, means.cipher, at)
        return await sender.post(target.url, request.headers, request.body, allow_private=target.allow_private)
    except TooLargeError:
        return Answer(None, "too_large", 0)
    except MurmurError:
        return Answer(None, "unreadable_secret", 0)
    except (ValueError, KeyError):
        return Answer(None, "invalid_event", 0)
    except Exception as error:
        # One delivery that nobody foresaw must not end the worker, which has hundreds of others in flight.
        LOG.error("an attempt failed inside: %s", unforeseen(error))
        return Answer(None, "internal", 0)


def _status_class(status: int | None) -> str | None:
    if status is None or 200 <= status < 300:
        return None
    return "redirect" if 300 <= status < 400 else f"status_{status}"
