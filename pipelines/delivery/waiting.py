"""What waits to be sent, without touching it: for a sensor that decides whether to start a delivery run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from pipelines.config import Workspace
from pipelines.delivery.instants import micros
from pipelines.storage.control import open_control, reading
from pipelines.storage.control.tables import deliveries, outbox_partitions


def waiting(workspace: Workspace, tenant_id: str, now: datetime) -> list[str]:
    """Names of what a delivery run would act on, sorted: changed event_log files and due deliveries with their try.

    The list changes when something new waits, so its hash can serve as the key of a run.
    """
    files = {day.isoformat(): name for day, name in workspace.tenant(tenant_id).lake.files("event_log").items() if day}
    engine = open_control(workspace.control_url)
    try:
        with reading(engine) as connection:
            partitions = select(outbox_partitions.c.date, outbox_partitions.c.file)
            taken = {
                day: file for day, file in connection.execute(partitions.where(outbox_partitions.c.tenant == tenant_id))
            }
            due = connection.execute(
                select(deliveries.c.delivery_id, deliveries.c.attempts).where(
                    deliveries.c.tenant == tenant_id,
                    deliveries.c.state == "pending",
                    deliveries.c.next_attempt_at <= micros(now),
                )
            ).all()
    finally:
        engine.dispose()
    changed = [f"{day}={name}" for day, name in files.items() if taken.get(day) != name]
    return sorted([*changed, *[f"{delivery}#{attempts}" for delivery, attempts in due]])
