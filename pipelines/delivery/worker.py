"""The worker: takes over what is due, sends it, settles it. At least once; the receiver tells copies by the id.

The resident command and the bounded job run the same function. Clock, randomness and the client are passed in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine

from pipelines.delivery.claims import Attempt, Claim, Outcome, Want, claim, settle
from pipelines.delivery.client import TOTAL_SECONDS, Answer, Sender, open_sender
from pipelines.delivery.envelope import TooLargeError
from pipelines.delivery.formats import fitting
from pipelines.delivery.instants import SECOND, Clock, micros
from pipelines.delivery.redaction import bare_url
from pipelines.delivery.request import prepare
from pipelines.delivery.retry import Decision, decide
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
    running: set[asyncio.Task[list[Attempt]]] = set()
    async with open_sender(worker.total_seconds) as sender:
        while True:
            await asyncio.to_thread(refill)
            if not stopped():
                claims = await _taken(worker, MAX_IN_FLIGHT - len(running), due_by, only)
                running |= {asyncio.create_task(_attempt(worker, sender, items)) for items in _requests(worker, claims)}
            if not running:
                if due_by is not None or stopped():
                    return counts
                await asyncio.sleep(IDLE_SECONDS)
                continue
            done, running = await asyncio.wait(
                running, timeout=IDLE_SECONDS if due_by is None else None, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                for outcome in await _settled(worker, [made for task in done for made in task.result()]):
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


def _requests(worker: Worker, claims: list[Claim]) -> list[list[Claim]]:
    """The claims of each request: one, or several first attempts where the endpoint takes batches."""
    alone = [[item] for item in claims if item.attempts or item.target.manner.batch_max == 1]
    batched: dict[str, list[Claim]] = {}
    for item in claims:
        if not item.attempts and item.target.manner.batch_max > 1:
            batched.setdefault(item.target.endpoint_id, []).append(item)
    seconds = worker.now() // SECOND
    for items in batched.values():
        manner, host = items[0].target.manner, worker.hosts[items[0].event.tenant]
        groups = fitting([item.event for item in items], manner, host, seconds)
        alone += [[items[position] for position in group] for group in groups]
    return alone


async def _attempt(worker: Worker, sender: Sender, items: list[Claim]) -> list[Attempt]:
    """Make one attempt of one request; whatever happens becomes a row of the ledger for each delivery in it."""
    at = worker.now()
    answer = await _send(worker, sender, items, at)
    finished = worker.now()
    made = [_attempted(worker, item, answer, at, finished) for item in items]
    # Which event of a batch was refused is not said, so each is tried again alone, as retries are.
    refused = len(made) > 1 and made[0].decision.verdict == "dead" and not made[0].decision.disable
    return [replace(one, decision=Decision("retry", next_attempt_at=finished)) for one in made] if refused else made


def _attempted(worker: Worker, item: Claim, answer: Answer, at: int, finished: int) -> Attempt:
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


async def _send(worker: Worker, sender: Sender, items: Sequence[Claim], at: int) -> Answer:
    target = items[0].target
    if target.mode == "sandbox":
        return Answer(204, None, 0)
    try:
        host = worker.hosts[items[0].event.tenant]
        request = prepare([item.event for item in items], target, host, worker.cipher, at)
    except TooLargeError:
        return Answer(None, "too_large", 0)
    except MurmurError:
        return Answer(None, "unreadable_secret", 0)
    except (ValueError, KeyError):
        return Answer(None, "invalid_event", 0)
    return await sender.post(target.url, request.headers, request.body, allow_private=target.allow_private)


def _status_class(status: int | None) -> str | None:
    if status is None or 200 <= status < 300:
        return None
    return "redirect" if 300 <= status < 400 else f"status_{status}"
