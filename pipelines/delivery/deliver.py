"""Delivery as a whole: declared endpoints, outbox and worker, for the command and the scheduled job alike."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Engine, func, or_, select

from pipelines.config import Tenant, Workspace
from pipelines.delivery.client import TOTAL_SECONDS
from pipelines.delivery.destinations import sync_destinations
from pipelines.delivery.handshake import Asker
from pipelines.delivery.instants import SECOND, Clock, micros
from pipelines.delivery.metrics import served
from pipelines.delivery.outbox import Filled, sync_outbox
from pipelines.delivery.places import DELIVERING, PENDING
from pipelines.delivery.settling import Outcome
from pipelines.delivery.upkeep import DAY_SECONDS, mend, prune, retention_due
from pipelines.delivery.worker import Worker, drain, stay
from pipelines.errors import MurmurError
from pipelines.storage.control import open_control, reading
from pipelines.storage.control.cipher import Cipher, installation_cipher
from pipelines.storage.control.tables import deliveries

REFILL_SECONDS = 1.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivered:
    """What one call did, and what is left.

    Attributes:
        events: events taken over from ``event_log``.
        deliveries: deliveries that they became.
        delivered: accepted by the receiver.
        retried: failed, and due again later.
        dead: given up.
        sandboxed: recorded for a sandbox endpoint.
        late: attempts of this worker whose lease had ended.
        pending: deliveries that still wait, now or later.
    """

    events: int = 0
    deliveries: int = 0
    delivered: int = 0
    retried: int = 0
    dead: int = 0
    sandboxed: int = 0
    late: int = 0
    pending: int = 0

    def as_dict(self) -> dict[str, int]:
        """Counts by name."""
        return asdict(self)


@dataclass(frozen=True)
class Control:
    """The control data of an installation, opened."""

    engine: Engine
    cipher: Cipher

    @classmethod
    def open(cls, workspace: Workspace, environment: Mapping[str, str] = os.environ) -> Control:
        """Open, and migrate if needed, what the workspace points at."""
        return cls(
            open_control(workspace.control_url),
            installation_cipher(workspace.home, environment.get("MURMUR_CONTROL_KEY")),
        )


def is_development(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether http and private addresses are allowed everywhere: ``MURMUR_DEVELOPMENT=1``."""
    return environment.get("MURMUR_DEVELOPMENT") == "1"


def deliver(
    workspace: Workspace,
    tenant_id: str | None = None,
    *,
    once: bool,
    clock: Clock,
    randomness: random.Random | None = None,
    stopped: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] = os.environ,
    total_seconds: float = TOTAL_SECONDS,
    metrics: tuple[str, int] | None = None,
) -> Delivered:
    """Take over new events and send what is due.

    Args:
        workspace: installation.
        tenant_id: whose; every tenant's where None.
        once: attempt what is due now and return; else stay until ``stopped``.
        clock: wall clock, aware.
        randomness: for jitter and lease tokens; the system's where None.
        stopped: asked between attempts; what is in flight is finished.
        environment: holds the secrets that destination files name.
        total_seconds: deadline of one request.
        metrics: host and port to serve Prometheus metrics at meanwhile.

    Raises:
        UsageError: the tenant or a destination file is wrong, or the port is taken.
    """
    tenants = [workspace.tenant(name) for name in ([tenant_id] if tenant_id else workspace.tenant_ids())]
    control = Control.open(workspace, environment)
    refill = _Refill(control, tenants, environment, clock)
    worker = Worker(
        control.engine,
        control.cipher,
        {tenant.id: tenant.config.public_host for tenant in tenants},
        clock,
        randomness or random.SystemRandom(),
        total_seconds,
    )
    try:
        refill.now()
        with _observed(worker, metrics) as observed:
            counts = drain(observed) if once else stay(observed, stopped, refill.when_due)
        return _summary(refill.filled, counts, _pending(control.engine, list(worker.hosts)))
    finally:
        control.engine.dispose()


@contextmanager
def _observed(worker: Worker, metrics: tuple[str, int] | None) -> Iterator[Worker]:
    if metrics is None:
        yield worker
        return
    host, port = metrics
    with served(worker.engine, list(worker.hosts), worker.clock, port, host) as shown:
        yield replace(worker, observe=shown.observe)


class _Refill:
    """Takes over declared endpoints and new events, at most every second, and keeps the ledger small."""

    def __init__(
        self, control: Control, tenants: Sequence[Tenant], environment: Mapping[str, str], clock: Clock
    ) -> None:
        self._control, self._tenants, self._environment, self._clock = control, tenants, environment, clock
        self._asker = Asker(control.engine, {tenant.id: tenant.config.public_host for tenant in tenants})
        self._last = 0.0
        self._said = ""
        self.filled = Filled()

    def now(self) -> None:
        engine, cipher, instant = self._control.engine, self._control.cipher, micros(self._clock())
        development = is_development(self._environment)
        mend(engine, instant)
        for tenant in self._tenants:
            sync_destinations(engine, tenant, cipher, self._environment, instant, development=development)
            new = sync_outbox(engine, tenant, instant)
            self.filled = Filled(self.filled.events + new.events, self.filled.deliveries + new.deliveries)
            keep(engine, tenant, instant)
        self._asker.ask_due(instant, wait=not self._last)
        self._last = time.monotonic()

    def when_due(self) -> None:
        if time.monotonic() - self._last < REFILL_SECONDS:
            return
        try:
            self.now()
            self._said = ""
        except MurmurError as error:
            # A file that was edited wrongly, or a locked database, must not stop what is already due; said once.
            if str(error) != self._said:
                LOG.warning("%s", error)
            self._said = str(error)
            self._last = time.monotonic()


def keep(engine: Engine, tenant: Tenant, now: int) -> None:
    """Remove what is older than the tenant keeps its ledger, where a day or more of it is."""
    days = tenant.config.webhook_retention_days
    if retention_due(engine, tenant.id, days, now):
        done = prune(engine, tenant.id, now - days * DAY_SECONDS * SECOND)
        LOG.info("%s: removed %d deliveries and %d attempts", tenant.id, done.deliveries, done.attempts)


def _pending(engine: Engine, tenants: list[str]) -> int:
    query = (
        select(func.count()).select_from(deliveries).where(or_(PENDING, DELIVERING), deliveries.c.tenant.in_(tenants))
    )
    with reading(engine) as connection:
        return int(connection.execute(query).scalar_one())


def _summary(filled: Filled, counts: dict[Outcome, int], pending: int) -> Delivered:
    return Delivered(
        events=filled.events,
        deliveries=filled.deliveries,
        delivered=counts.get("delivered", 0),
        retried=counts.get("retry", 0),
        dead=counts.get("dead", 0),
        sandboxed=counts.get("sandbox", 0),
        late=counts.get("late", 0),
        pending=pending,
    )
