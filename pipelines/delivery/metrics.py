"""Prometheus metrics of a resident worker: what it did since it began, and how the deliveries stand when asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from pipelines.delivery.instants import Clock, micros
from pipelines.delivery.overview import overview
from pipelines.delivery.settling import Attempt, Outcome
from pipelines.errors import UsageError
from pipelines.storage.control import reading
from pipelines.storage.control.engine import ControlError

PREFIX = "murmur_webhook"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: How the deliveries stand is counted at most so often, however many ask.
FRESH_SECONDS = 5.0


class Metrics:
    """Counters of attempts by endpoint, outcome and class of failure; their latency by tenant.

    Args:
        registry: where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("tenant", "endpoint", "outcome", "error")
        self._attempts = Counter(f"{PREFIX}_attempts", "Attempts that were settled.", labels, registry=registry)
        self._latency = Histogram(
            f"{PREFIX}_latency_seconds",
            "From the request to the headers of the answer.",
            ("tenant",),
            buckets=BUCKETS,
            registry=registry,
        )

    def observe(self, attempt: Attempt, outcome: Outcome) -> None:
        """Count one settled attempt."""
        tenant, endpoint = attempt.claim.event.tenant, attempt.claim.target.endpoint_id
        self._attempts.labels(tenant, endpoint, outcome, attempt.error_class or "").inc()
        self._latency.labels(tenant).observe(attempt.latency_ms / 1000)


class Standing(Collector):
    """Deliveries by state, the oldest that is due, and endpoints by state; read when the metrics are asked for."""

    def __init__(self, engine: Engine, tenants: Sequence[str], clock: Clock) -> None:
        self._engine, self._tenants, self._clock = engine, tenants, clock
        self._read_at = 0.0
        self._found: list[GaugeMetricFamily] = []

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering does not read the database."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; ``up`` alone where the control data cannot be read now."""
        if time.monotonic() - self._read_at >= FRESH_SECONDS:
            self._found = self._read()
            self._read_at = time.monotonic()
        yield from self._found

    def _read(self) -> list[GaugeMetricFamily]:
        up = GaugeMetricFamily(f"{PREFIX}_control_up", "Whether the control data can be read.")
        states = GaugeMetricFamily(
            f"{PREFIX}_deliveries", "Deliveries that have not ended well.", labels=("tenant", "state")
        )
        oldest = GaugeMetricFamily(
            f"{PREFIX}_oldest_due_seconds", "Age of the oldest due delivery.", labels=("tenant",)
        )
        ends = GaugeMetricFamily(f"{PREFIX}_endpoints", "Endpoints by state.", labels=("tenant", "state"))
        try:
            with reading(self._engine) as connection:
                for tenant in self._tenants:
                    found = overview(connection, tenant, micros(self._clock()))
                    oldest.add_metric((tenant,), found.oldest_due_seconds)
                    for family, counts in ((states, found.states()), (ends, found.endpoints)):
                        for state, count in counts.items():
                            family.add_metric((tenant, state), count)
        except ControlError:
            up.add_metric((), 0)
            return [up]
        up.add_metric((), 1)
        return [up, states, oldest, ends]


@contextmanager
def served(engine: Engine, tenants: Sequence[str], clock: Clock, port: int, host: str) -> Iterator[Metrics]:
    """Metrics at ``http://HOST:PORT/metrics`` for the length of a block.

    Raises:
        UsageError: the port is taken.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    registry.register(Standing(engine, tenants, clock))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise UsageError(f"metrics cannot be served at {host}:{port}: {error.strerror}; choose another port") from None
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
