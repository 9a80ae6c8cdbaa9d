"""From the lake to the outbox: events that are to be sent, and one delivery for each endpoint that wants them.

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
from pipelines.delivery.published import published_events
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import deliveries, events, outbox_partitions
from pipelines.storage.hashing import identifier
from schemas.tables import EVENT_LOG, EXPORT_SLO

#: Ids in one IN list; SQLite's own limit on variables is larger, PostgreSQL plans short lists better.
CHUNK = 500
_ORDER = ("detected_at", "effective_at", "generation", "kind", "event_id")


#: Tables of the lake that say what is to be sent.
SOURCES = (EVENT_LOG.name, EXPORT_SLO.name)


@dataclass(frozen=True)
class Taken:
    """Partitions that were read: files of a table by ISO date."""

    source: str
    files: dict[str, str]


@dataclass(frozen=True)
class Filled:
    """How many events and deliveries were new."""

    events: int = 0
    deliveries: int = 0


def sync_outbox(engine: Engine, tenant: Tenant, now: int) -> Filled:
    """Take over what the lake has to send; of a table only partitions that changed since the last call are read."""
    filled = Filled()
    for source in SOURCES:
        changed = changed_partitions(engine, tenant, source)
        if changed:
            new = fill_outbox(engine, tenant.id, _rows(tenant, source, set(changed)), now, Taken(source, changed))
            filled = Filled(filled.events + new.events, filled.deliveries + new.deliveries)
    return filled


def changed_partitions(engine: Engine, tenant: Tenant, source: str) -> dict[str, str]:
    """Files by ISO date of the partitions of a table that were not taken over as they are."""
    files = {day.isoformat(): name for day, name in tenant.lake.files(source).items() if day}
    own = (outbox_partitions.c.tenant == tenant.id, outbox_partitions.c.source == source)
    with reading(engine) as connection:
        query = select(outbox_partitions.c.date, outbox_partitions.c.file).where(*own)
        known = {day: file for day, file in connection.execute(query)}
    return {day: name for day, name in files.items() if known.get(day) != name}


def _rows(tenant: Tenant, source: str, changed: set[str]) -> pl.DataFrame:
    """What some partitions of a table have to send."""
    days = [day for day in tenant.lake.days(source) if day.isoformat() in changed]
    if source == EVENT_LOG.name:
        return tenant.lake.scan(source, days).filter(pl.col("emission") == "sent").collect()
    # Whether a day is a backfill, later ones say.
    return published_events(tenant.id, tenant.lake.read(source)).filter(pl.col("date").is_in(days))


def fill_outbox(engine: Engine, tenant: str, rows: pl.DataFrame, now: int, taken: Taken | None = None) -> Filled:
    """Add events and their deliveries in one transaction.

    Args:
        engine: of the control data.
        tenant: whose.
        rows: of ``event_log`` with emission ``sent``, or of ``published_events``; those whose id is there already are
            left alone, so that an endpoint which was added later gets nothing old.
        now: microseconds; when the deliveries are due.
        taken: partitions that the rows are all of, remembered with them.
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
        if taken is not None:
            _remember(connection, tenant, taken)
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


def _remember(connection: Connection, tenant: str, taken: Taken) -> None:
    own = (outbox_partitions.c.tenant == tenant, outbox_partitions.c.source == taken.source)
    connection.execute(delete(outbox_partitions).where(*own, outbox_partitions.c.date.in_(list(taken.files))))
    rows = [{"tenant": tenant, "source": taken.source, "date": day, "file": file} for day, file in taken.files.items()]
    connection.execute(insert(outbox_partitions), rows)
