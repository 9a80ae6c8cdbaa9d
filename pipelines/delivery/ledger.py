"""Reading what was delivered and attempted, for people and programs; instants as RFC 3339 text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from pipelines.delivery.instants import rfc3339
from pipelines.delivery.outbox import CHUNK
from pipelines.storage.control.tables import attempts, deliveries, events

_INSTANTS = ("first_attempt_at", "next_attempt_at", "created_at", "finished_at", "at")
_COLUMNS = (
    "delivery_id",
    "tenant",
    "event_id",
    "endpoint_id",
    "purpose",
    "state",
    "attempts",
    "last_error",
    "first_attempt_at",
    "next_attempt_at",
    "created_at",
    "finished_at",
)


def listed_deliveries(
    connection: Connection, tenant: str | None, state: str | None, endpoint_id: str | None, limit: int
) -> list[dict[str, Any]]:
    """Deliveries, the newest event first, with type and subject of the event and the status last answered."""
    own = attempts.c.delivery_id == deliveries.c.delivery_id
    newest = select(attempts.c.status).where(own).order_by(attempts.c.attempt_id.desc()).limit(1)
    status = newest.correlate(deliveries).scalar_subquery()
    query = (
        select(*(deliveries.c[name] for name in _COLUMNS), events.c.type, events.c.subject, status.label("last_status"))
        .join(events, (events.c.tenant == deliveries.c.tenant) & (events.c.event_id == deliveries.c.event_id))
        .order_by(events.c.sequence.desc(), deliveries.c.delivery_id)
        .limit(limit)
    )
    wanted = {"tenant": tenant, "state": state, "endpoint_id": endpoint_id}
    query = query.where(*(deliveries.c[name] == value for name, value in wanted.items() if value is not None))
    rows = [_shown(row) for row in connection.execute(query).mappings()]
    for row in rows:
        row["next_attempt_at"] = row["next_attempt_at"] if row["state"] == "pending" else None
    return rows


def attempts_of(connection: Connection, delivery_id: str) -> list[dict[str, Any]]:
    """The ledger of one delivery, the oldest attempt first."""
    query = select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.attempt_id)
    return [_shown(row) for row in connection.execute(query).mappings()]


def deliveries_of(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What became of some events at each endpoint, by event: ``endpoint_id``, ``state``, ``attempts``, ``finished_at``.

    Tests of an endpoint are left aside.
    """
    names = ("endpoint_id", "state", "attempts", "finished_at")
    found: dict[str, list[dict[str, Any]]] = {}
    for start in range(0, len(ids), CHUNK):
        query = (
            select(deliveries.c.event_id, *(deliveries.c[name] for name in names))
            .where(deliveries.c.tenant == tenant, deliveries.c.event_id.in_(ids[start : start + CHUNK]))
            .where(deliveries.c.purpose == "event")
            .order_by(deliveries.c.event_id, deliveries.c.endpoint_id)
        )
        for row in connection.execute(query).mappings():
            shown = _shown(row)
            found.setdefault(shown.pop("event_id"), []).append(shown)
    return found


def _shown(row: RowMapping) -> dict[str, Any]:
    return {name: rfc3339(value) if name in _INSTANTS and value is not None else value for name, value in row.items()}
