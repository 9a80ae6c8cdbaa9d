"""From ``event_log`` to the outbox: events that are to be sent, and one delivery for each endpoint that wants them.

By id and in one transaction, so doing it again does nothing, and a crash before it is repaired by the next call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, delete, insert, select

from pipelines.config import Tenant
from pipelines.delivery import endpoints
from pipelines.delivery.instants import micros
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import deliveries, events, outbox_partitions
from pipelines.storage.hashing import identifier
from schemas.tables import EVENT_LOG

#: Ids in one IN list; SQLite's own limit on variables is larger, PostgreSQL plans short lists better.
CHUNK = 500
_ORDER = ("detected_at", "effective_at", "generation", "kind", "event_id")


@dataclass(frozen=True)
class Filled:
    """How many events and deliveries were new."""

    events: int = 0
    deliveries: int = 0


def sync_outbox(engine: Engine, tenant: Tenant, now: int) -> Filled:
    """Take over what the lake's ``event_log`` has to send; reads only partitions that changed since the last call."""
    files = {day.isoformat(): name for day, name in tenant.lake.files("event_log").items() if day}
    with reading(engine) as connection:
        known = _known_partitions(connection, tenant.id)
    changed = {day: name for day, name in files.items() if known.get(day) != name}
    if not changed:
        return Filled()
    days = [day for day in tenant.lake.days("event_log") if day.isoformat() in changed]
    rows = tenant.lake.scan("event_log", days).filter(pl.col("emission") == "sent").collect()
    return fill_outbox(engine, tenant.id, rows, now, partitions=changed)


def fill_outbox(
    engine: Engine, tenant: str, rows: pl.DataFrame, now: int, *, partitions: dict[str, str] | None = None
) -> Filled:
    """Add events and their deliveries in one transaction.

    Args:
        engine: of the control data.
        tenant: whose.
        rows: of ``event_log`` with emission ``sent``; those whose id is there already are left alone, so that an
            endpoint which was added later gets nothing old.
        now: microseconds; when the deliveries are due.
        partitions: files by ISO date that the rows are all of, remembered with them.
    """
    ordered = rows.sort(_ORDER)
    with writing(engine, alone=f"outbox:{tenant}") as connection:
        present = _present(connection, tenant, ordered["event_id"].to_list())
        fresh = [_event(tenant, row) for row in ordered.iter_rows(named=True) if row["event_id"] not in present]
        targets = endpoints.listed(connection, tenant, endpoints.COLLECTING)
        wanted = [
            delivery_row(tenant, event["event_id"], target.endpoint_id, now)
            for event in fresh
            for target in _wanting(targets, event)
        ]
        for table, values in ((events, fresh), (deliveries, wanted)):
            if values:
                connection.execute(insert(table), values)
        _remember(connection, tenant, partitions or {})
    return Filled(len(fresh), len(wanted))


def delivery_row(tenant: str, event_id: str, endpoint_id: str, now: int, purpose: str = "event") -> dict[str, Any]:
    """A delivery that is due now; its id follows from event and endpoint."""
    return {
        "delivery_id": "dl_" + identifier(tenant, event_id, endpoint_id)[:24],
        "tenant": tenant,
        "event_id": event_id,
        "endpoint_id": endpoint_id,
        "purpose": purpose,
        "state": "pending",
        "attempts": 0,
        "retrying": False,
        "next_attempt_at": now,
        "created_at": now,
    }


def _wanting(targets: Sequence[endpoints.Endpoint], event: dict[str, Any]) -> Iterator[endpoints.Endpoint]:
    data = json.loads(event["data"])
    return (target for target in targets if target.wants(event["type"], data))


def _event(tenant: str, row: dict[str, Any]) -> dict[str, Any]:
    subject = row["subject"] if row["subject_type"] == "visitor" else f"{row['subject_type']}:{row['subject']}"
    return {
        "tenant": tenant,
        "event_id": row["event_id"],
        "type": row["kind"],
        "subject": subject,
        "time": micros(row["effective_at"]),
        "recorded_time": micros(row["detected_at"]),
        "data": row["payload"],
    }


def _present(connection: Connection, tenant: str, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        query = select(events.c.event_id).where(events.c.tenant == tenant, events.c.event_id.in_(chunk))
        found.update(connection.execute(query).scalars())
    return found


def _known_partitions(connection: Connection, tenant: str) -> dict[str, str]:
    query = select(outbox_partitions.c.date, outbox_partitions.c.file).where(outbox_partitions.c.tenant == tenant)
    return {day: file for day, file in connection.execute(query)}


def _remember(connection: Connection, tenant: str, partitions: dict[str, str]) -> None:
    if not partitions:
        return
    own = (outbox_partitions.c.tenant == tenant, outbox_partitions.c.source == EVENT_LOG.name)
    connection.execute(delete(outbox_partitions).where(*own, outbox_partitions.c.date.in_(list(partitions))))
    rows = [{"tenant": tenant, "source": EVENT_LOG.name, "date": day, "file": file} for day, file in partitions.items()]
    connection.execute(insert(outbox_partitions), rows)
