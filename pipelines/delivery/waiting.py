"""What waits to be sent, without touching it: for a sensor that decides whether to start a delivery run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, or_, select

from pipelines.config import Workspace
from pipelines.delivery.instants import micros
from pipelines.delivery.outbox import SOURCES, changed_partitions
from pipelines.delivery.places import DELIVERING, PENDING
from pipelines.storage.control import open_control, reading
from pipelines.storage.control.tables import deliveries, endpoints


def waiting(workspace: Workspace, tenant_id: str, now: datetime) -> list[str]:
    """Names of what a delivery run would act on, sorted: changed files of the lake and due deliveries with their try.

    The list changes when something new waits, so its hash can serve as the key of a run.
    """
    tenant = workspace.tenant(tenant_id)
    engine = open_control(workspace.control_url)
    try:
        changed = [
            f"{source}/{day}={name}"
            for source in SOURCES
            for day, name in changed_partitions(engine, tenant, source).items()
        ]
        with reading(engine) as connection:
            due = connection.execute(_due(tenant_id, micros(now))).all()
    finally:
        engine.dispose()
    return sorted([*changed, *[f"{delivery}#{attempts}#{lease or ''}" for delivery, attempts, lease in due]])


def _due(tenant_id: str, now: int) -> Select[str, int, str | None]:
    """Deliveries that a run could claim now: due, or left behind by a worker that died."""
    pending = PENDING & (deliveries.c.next_attempt_at <= now)
    left = DELIVERING & (deliveries.c.lease_until <= now)
    return (
        select(deliveries.c.delivery_id, deliveries.c.attempts, deliveries.c.lease_token)
        .join(endpoints, endpoints.c.endpoint_id == deliveries.c.endpoint_id)
        .where(
            deliveries.c.tenant == tenant_id,
            or_(pending, left),
            endpoints.c.state == "active",
            or_(endpoints.c.paused_until.is_(None), endpoints.c.paused_until <= now),
            or_(endpoints.c.open_until.is_(None), endpoints.c.open_until <= now),
        )
    )
