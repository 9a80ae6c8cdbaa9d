"""The worker: takes over what is due, sends it, settles it. At least once; the receiver tells copies by the id.

The resident command and the bounded job run the same function. Clock, randomness and the client are passed in.

A delivery counts as in flight from its claim until what came of it is committed, so a process that is killed leaves at
most one copy for each of the ``WINDOW`` that are in flight, and nothing is missing: their leases end.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Engine

from pipelines.delivery.attempting import attempt, requests_of
from pipelines.delivery.cdp.tokens import Tokens
from pipelines.delivery.claims import ALONE, Claim, Taken, Want, something_due, take
from pipelines.delivery.client import TOTAL_SECONDS, Sender, open_sender
from pipelines.delivery.instants import SECOND, Clock, micros
from pipelines.delivery.loop import run_loop
from pipelines.delivery.patience import Patience
from pipelines.delivery.settling import Attempt, Outcome, record
from pipelines.storage.control import writing
from pipelines.storage.control.cipher import Cipher

#: Deliveries in flight at once; half of them at most are retries.
WINDOW = 1024
#: Longer than any attempt with its commit may take, so that only a worker that died or hung loses a lease.
LEASE_SECONDS = 60
#: What was answered is settled together: so many at once, or after so long.
BATCH = 256
GATHER_SECONDS = 0.05
IDLE_SECONDS = 0.05
#: Posts at once while they are quick: many connections to quick receivers cost more than they bring. Those that take
#: longer than ``STUCK_SECONDS`` do not count, and where claims have waited for long all of the window may be used.
EASY = 64
STUCK_SECONDS = 0.1
LATE_SECONDS = 0.5
LOOK_SECONDS = 0.02
#: How long a bounded run goes on for endpoints that only wait for their rate.
BOUND_SECONDS = 300.0
#: How long a bounded run, or a worker that was told to stop, waits for a database that is away.
PATIENCE_SECONDS = 60.0
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
        observe: told of every settled attempt, for metrics.
        tokens: of the platforms that want one, for as long as the process lives.
    """

    engine: Engine
    cipher: Cipher
    hosts: Mapping[str, str]
    clock: Clock
    randomness: random.Random = field(default_factory=random.SystemRandom)
    total_seconds: float = TOTAL_SECONDS
    lease_seconds: int = LEASE_SECONDS
    observe: Callable[[Attempt, Outcome], None] | None = None
    tokens: Tokens = field(default_factory=Tokens)

    def now(self) -> int:
        """Microseconds since the epoch."""
        return micros(self.clock())


def drain(worker: Worker, only: Collection[str] | None = None) -> dict[Outcome, int]:
    """Attempt once everything that is due now, or only some deliveries; how many had which outcome."""
    return run_loop(_Shift(worker, worker.now(), only, lambda: False).work())


def stay(worker: Worker, stopped: Callable[[], bool], refill: Callable[[], None]) -> dict[Outcome, int]:
    """Work until ``stopped``, finishing what is in flight; ``refill`` is called beside it, again and again."""
    return run_loop(_resident(_Shift(worker, None, None, stopped), refill))


async def _resident(shift: _Shift, refill: Callable[[], None]) -> dict[Outcome, int]:
    filling = asyncio.create_task(_refilling(shift.stopped, refill))
    try:
        return await shift.work()
    finally:
        filling.cancel()


async def _refilling(stopped: Callable[[], bool], refill: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="refill") as thread:
        while not stopped():
            await asyncio.get_running_loop().run_in_executor(thread, refill)
            await asyncio.sleep(IDLE_SECONDS)


class _Shift:
    """One run of a worker: what is in flight, what is answered, and the turns that it takes with the database."""

    def __init__(
        self, worker: Worker, due_by: int | None, only: Collection[str] | None, stopped: Callable[[], bool]
    ) -> None:
        self.worker, self.due_by, self.only, self.stopped = worker, due_by, only, stopped
        self.counts: dict[Outcome, int] = {}
        self._claimed: deque[tuple[list[Claim], float]] = deque()
        self._running: dict[str, tuple[float, list[Claim]]] = {}
        self._answered: list[Attempt] = []
        self._worth_it, self._begin = asyncio.Event(), asyncio.Event()
        self._end = time.monotonic() + BOUND_SECONDS
        self._patience = Patience(self._given_up)
        # The database has a thread of its own: neither names nor refills make it wait.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="control")

    async def work(self) -> dict[Outcome, int]:
        """Take turns until there is nothing left to do; how many attempts had which outcome."""
        try:
            async with open_sender(self.worker.total_seconds) as sender:
                beginning = asyncio.create_task(self._begin_claimed(sender))
                try:
                    while await self._turn():
                        await self._gather()
                        if beginning.done():
                            # An error of the program: ended aloud, so that the leases end and another worker begins.
                            beginning.result()
                finally:
                    beginning.cancel()
            return self.counts
        finally:
            self._thread.shutdown()

    async def _turn(self) -> bool:
        """Settle what was answered and claim what is due; whether there is more to do."""
        settling, self._answered = self._answered, []
        self._worth_it.clear()
        taken = await self._patience.with_database(lambda: self._exchanged(settling))
        begun = time.monotonic()
        self._claimed.extend((items, begun) for items in requests_of(self.worker, taken.claims))
        if taken.claims:
            self._begin.set()
        if self._claimed or self._running or self._answered:
            return True
        if self.due_by is not None:
            return taken.paced and time.monotonic() < self._end
        return not self.stopped()

    async def _begin_claimed(self, sender: Sender) -> None:
        """See to it that what was claimed is sent, by few at once where few are enough."""
        async with asyncio.TaskGroup() as senders:
            while True:
                await self._begin.wait()
                self._begin.clear()
                while self._claimed:
                    for _ in range(min(self._room(), len(self._claimed))):
                        senders.create_task(self._send_claimed(sender))
                    await asyncio.sleep(LOOK_SECONDS)

    def _room(self) -> int:
        """How many more may post at once."""
        now = time.monotonic()
        late = now - self._claimed[0][1] > LATE_SECONDS
        quick = sum(now - begun < STUCK_SECONDS for begun, _ in self._running.values())
        return EASY if late else EASY - quick

    async def _send_claimed(self, sender: Sender) -> None:
        """Make attempts for as long as claims wait."""
        while self._claimed:
            items, claimed = self._claimed.popleft()
            key = items[0].delivery_id
            self._running[key] = (time.monotonic(), items)
            made = await attempt(self.worker, sender, items, claimed)
            self._answered.extend(made)
            del self._running[key]
            if len(self._answered) >= BATCH or not (self._running or self._claimed):
                self._worth_it.set()

    async def _gather(self) -> None:
        """Wait until a turn is worth it: enough was answered, or for a short while."""
        seconds = GATHER_SECONDS if self._answered or self._running else IDLE_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._worth_it.wait()

    async def _exchanged(self, settling: list[Attempt]) -> Taken:
        loop = asyncio.get_running_loop()
        outcomes, taken = await loop.run_in_executor(self._thread, self._exchange, settling)
        for made, outcome in zip(settling, outcomes, strict=True):
            self.counts[outcome] = self.counts.get(outcome, 0) + 1
            if self.worker.observe is not None:
                self.worker.observe(made, outcome)
        return taken

    def _exchange(self, settling: list[Attempt]) -> tuple[list[Outcome], Taken]:
        """One transaction: results go in, claims come out."""
        worker, now = self.worker, self.worker.now()
        want = self._want(settling)
        if not settling and (want.limit <= 0 or not something_due(worker.engine, want, now)):
            return [], Taken([])
        with writing(worker.engine, alone=ALONE) as connection:
            outcomes = record(connection, settling)
            if want.limit <= 0:
                return outcomes, Taken([])
            return outcomes, take(connection, want, now, f"{worker.randomness.getrandbits(128):032x}")

    def _want(self, settling: list[Attempt]) -> Want:
        requests = (*(items for _, items in self._running.values()), *(items for items, _ in self._claimed))
        held = [item for items in requests for item in items]
        return Want(
            tenants=tuple(self.worker.hosts),
            limit=0 if self.stopped() else WINDOW - len(held) - len(self._answered),
            lease_micros=self.worker.lease_seconds * SECOND,
            due_by=self.due_by,
            only=self.only,
            retries=max(0, WINDOW // 2 - sum(item.attempts > 0 for item in held)),
            held={item.delivery_id for item in held} | {made.claim.delivery_id for made in self._answered},
        )

    def _given_up(self, waited: float) -> bool:
        """A resident worker outlives any outage; a bounded one, or one that shall stop, does not wait for ever."""
        return (self.due_by is not None or self.stopped()) and waited >= PATIENCE_SECONDS
