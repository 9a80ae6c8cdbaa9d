"""Sending again what was sent or was to be: one delivery, or a span of an endpoint; and test events."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from pipelines.delivery import endpoints
from pipelines.delivery.instants import rfc3339
from pipelines.delivery.outbox import CHUNK, delivery_row
from pipelines.errors import UsageError
from pipelines.storage.control.tables import deliveries, events

TEST_TYPE = "endpoint.test"
_SETTLED = ("delivered", "dead", "cancelled")


@dataclass(frozen=True)
class Replayed:
    """How many deliveries were set to be sent again, and how many were made for events never sent there."""

    again: int
    new: int


def replay_delivery(connection: Connection, delivery_id: str, now: int) -> None:
    """Make one settled delivery due now, with all its attempts before it.

    Raises:
        UsageError: there is none of that id, or it is still being sent.
    """
    own = deliveries.c.delivery_id == delivery_id
    state = connection.execute(select(deliveries.c.state).where(own)).scalar()
    if state is None:
        raise UsageError(f"there is no delivery {delivery_id!r}; list them with: murmur webhook deliveries")
    if state not in _SETTLED:
        raise UsageError(f"delivery {delivery_id} is {state}; only one that ended can be replayed")
    _reset(connection, [delivery_id], now)


def replay_span(connection: Connection, endpoint_id: str, first: int, last: int, now: int) -> Replayed:
    """Make everything that an endpoint wants, and that was noticed in ``[first, last)``, due now.

    Events from before the endpoint was added are included; deliveries that still wait are left as they are.

    Raises:
        UsageError: there is no such endpoint, it was deleted, or the span is empty.
    """
    endpoint = endpoints.get(connection, endpoint_id)
    if endpoint.state == "deleted":
        raise UsageError(f"endpoint {endpoint_id} was deleted; add it again to send to it")
    if last <= first:
        raise UsageError(f"the span ends ({rfc3339(last)}) before it begins ({rfc3339(first)})")
    span = (events.c.recorded_time >= first, events.c.recorded_time < last)
    query = select(events).where(
        # Of an event that is older than the ledger is kept, nothing but the id is left.
        events.c.tenant == endpoint.tenant,
        *span,
        events.c.type != TEST_TYPE,
        events.c.data != "",
    )
    wanted = [
        row["event_id"]
        for row in connection.execute(query.order_by(events.c.sequence)).mappings()
        if endpoint.wants(row["type"], json.loads(row["data"]))
    ]
    own = select(deliveries.c.event_id, deliveries.c.delivery_id, deliveries.c.state)
    known = {row[0]: row for row in connection.execute(own.where(deliveries.c.endpoint_id == endpoint_id))}
    again = [known[event_id][1] for event_id in wanted if event_id in known and known[event_id][2] in _SETTLED]
    fresh = [event_id for event_id in wanted if event_id not in known]
    _reset(connection, again, now)
    if fresh:
        rows = [delivery_row(endpoint.tenant, event_id, endpoint_id, now) for event_id in fresh]
        connection.execute(insert(deliveries), rows)
    return Replayed(len(again), len(fresh))


def add_test(connection: Connection, endpoint_id: str, token: str, now: int) -> str:
    """A test event for one endpoint, delivered by the usual code and tried once; the delivery's id.

    Raises:
        UsageError: there is no such endpoint, or it is not active.
    """
    endpoint = endpoints.get(connection, endpoint_id)
    if endpoint.state != "active":
        raise UsageError(f"endpoint {endpoint_id} is {endpoint.state}; enable it before testing it")
    event_id = f"test_{token}"
    data = json.dumps({"endpoint_id": endpoint_id, "reason": "test"}, sort_keys=True, separators=(",", ":"))
    event = {
        "tenant": endpoint.tenant,
        "event_id": event_id,
        "type": TEST_TYPE,
        "subject": f"endpoint:{endpoint_id}",
        "time": now,
        "recorded_time": now,
        "data": data,
    }
    row = delivery_row(endpoint.tenant, event_id, endpoint_id, now, purpose="test")
    connection.execute(insert(events).values(event))
    connection.execute(insert(deliveries).values(row))
    return str(row["delivery_id"])


def _reset(connection: Connection, ids: list[str], now: int) -> None:
    values = {
        "state": "pending",
        "attempts": 0,
        "retrying": False,
        "first_attempt_at": None,
        "next_attempt_at": now,
        "finished_at": None,
    }
    for start in range(0, len(ids), CHUNK):
        chunk = deliveries.c.delivery_id.in_(ids[start : start + CHUNK])
        connection.execute(update(deliveries).where(chunk, deliveries.c.state.in_(_SETTLED)).values(values))
