"""The worker: takes over what is due, sends it, settles it. At least once; the receiver tells copies by the id.

The resident command and the bounded job run the same function. Clock, randomness and the client are passed in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine

from pipelines.delivery.claims import Attempt, Claim, Outcome, Want, claim, settle
from pipelines.delivery.client import TOTAL_SECONDS, Answer, Sender, open_sender
from pipelines.delivery.envelope import TooLargeError, encode, envelope
from pipelines.delivery.instants import SECOND, Clock, micros
from pipelines.delivery.redaction import bare_url
from pipelines.delivery.retry import Decision, decide
from pipelines.delivery.signing import signature_headers
from pipelines.delivery.target import secrets_of
from pipelines.errors import MurmurError
from pipelines.storage.control.cipher import Cipher
from pipelines.storage.control.engine import ControlError

MAX_IN_FLIGHT = 128
#: Longer than any attempt with its commit may take, so that only a worker that died or hung loses a lease.
LEASE_SECONDS = 60
IDLE_SECONDS = 0.2
PATIENCE_SECONDS = 1.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worker:
    """What a worker works with.

    Attributes:
        engine: of the control data.
        cipher: opens the secrets.
        hosts: public host by tenant; only these tenants' deliveries are taken.
        clock: wall clock, aware.
        randomness: for jitter and lease tokens.
        total_seconds: deadline of one request.
        lease_seconds: how long a claim holds.
    """

    engine: Engine
    cipher: Cipher
    hosts: Mapping[str, str]
    clock: Clock
    randomness: random.Random = field(default_factory=random.SystemRandom)
    total_seconds: float = TOTAL_SECONDS
    lease_seconds: int = LEASE_SECONDS

    def now(self) -> int:
        """Microseconds since the epoch."""
        return micros(self.clock())


def drain(worker: Worker, only: Collection[str] | None = None) -> dict[Outcome, int]:
    """Attempt once everything that is due now, or only some deliveries; how many had which outcome."""
    return asyncio.run(_work(worker, worker.now(), only, lambda: False, lambda: None))


def stay(worker: Worker, stopped: Callable[[], bool], refill: Callable[[], None]) -> dict[Outcome, int]:
    """Work until ``stopped``, finishing what is in flight; ``refill`` is called whenever there is time for it."""
    return asyncio.run(_work(worker, None, None, stopped, refill))


async def _work(
    worker: Worker,
    due_by: int | None,
    only: Collection[str] | None,
    stopped: Callable[[], bool],
    refill: Callable[[], None],
) -> dict[Outcome, int]:
    counts: dict[Outcome, int] = {}
    running: set[asyncio.Task[Attempt]] = set()
    async with open_sender(worker.total_seconds) as sender:
        while True:
            await asyncio.to_thread(refill)
            if not stopped():
                claims = await _taken(worker, MAX_IN_FLIGHT - len(running), due_by, only)
                running |= {asyncio.create_task(_attempt(worker, sender, item)) for item in claims}
            if not running:
                if due_by is not None or stopped():
                    return counts
                await asyncio.sleep(IDLE_SECONDS)
                continue
            done, running = await asyncio.wait(
                running, timeout=IDLE_SECONDS if due_by is None else None, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                for outcome in await _settled(worker, [task.result() for task in done]):
                    counts[outcome] = counts.get(outcome, 0) + 1


async def _taken(worker: Worker, limit: int, due_by: int | None, only: Collection[str] | None) -> list[Claim]:
    try:
        return await asyncio.to_thread(_take, worker, limit, due_by, only)
    except ControlError as error:
        if due_by is not None:
            raise
        # A resident worker outlives a database that is locked or away for a while.
        LOG.warning("%s", error)
        await asyncio.sleep(PATIENCE_SECONDS)
        return []


async def _settled(worker: Worker, made: list[Attempt]) -> list[Outcome]:
    """Settle attempts; what was sent is worth waiting for the database, until the leases have surely ended."""
    for _ in range(worker.lease_seconds):
        try:
            return await asyncio.to_thread(settle, worker.engine, made)
        except ControlError as error:
            LOG.warning("%s", error)
            await asyncio.sleep(PATIENCE_SECONDS)
    return []


def _take(worker: Worker, limit: int, due_by: int | None, only: Collection[str] | None) -> list[Claim]:
    if limit <= 0:
        return []
    want = Want(tuple(worker.hosts), limit, worker.lease_seconds * SECOND, due_by, only)
    return claim(worker.engine, want, worker.now(), f"{worker.randomness.getrandbits(128):032x}")


async def _attempt(worker: Worker, sender: Sender, item: Claim) -> Attempt:
    """Make one attempt; whatever happens becomes a row of the ledger."""
    at = worker.now()
    answer = await _send(worker, sender, item, at)
    finished = worker.now()
    decision = decide(
        answer.status,
        answer.error_class,
        retry_after=answer.retry_after,
        attempts=item.attempts + 1,
        first_attempt_at=item.first_attempt_at or at,
        now=finished,
        jitter=worker.randomness.random(),
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


async def _send(worker: Worker, sender: Sender, item: Claim, at: int) -> Answer:
    if item.target.mode == "sandbox":
        return Answer(204, None, 0)
    try:
        seconds = at // SECOND
        body = encode(envelope(item.event, worker.hosts[item.event.tenant], seconds))
        secrets = secrets_of(worker.cipher, item.target, at)
        headers = signature_headers(secrets, item.event.event_id, seconds, body)
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
