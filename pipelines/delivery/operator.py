"""Events about endpoints and deliveries, told to whoever operates them: building them and putting them in the outbox.

What happened is decided by whoever calls, who also holds the transaction. An endpoint is never told about itself, and
nothing is told about the delivery of such an event, so that a broken operator's endpoint makes no events without end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, insert, select

from pipelines.delivery import endpoints
from pipelines.delivery.instants import rfc3339
from pipelines.delivery.outbox import delivery_row
from pipelines.storage.control.tables import deliveries, events
from pipelines.storage.hashing import identifier
from schemas.events import EVENT_TYPES

#: Types that ``operator_event`` builds.
OPERATOR_TYPES = ("endpoint.disabled", "endpoint.recovered", "delivery.exhausted")


def is_operator_type(event_type: str) -> bool:
    """Whether an event is about delivery itself; ask it of a delivery before telling anything about that."""
    return EVENT_TYPES[event_type].operator if event_type in EVENT_TYPES else False


def operator_event(
    event_type: str, endpoint: endpoints.Endpoint, at: int, facts: Mapping[str, Any], *, about: str = ""
) -> dict[str, Any]:
    """A row of ``events`` that tells what happened to an endpoint or one of its deliveries.

    Args:
        event_type: one of ``OPERATOR_TYPES``.
        endpoint: what it happened to; its id, host and description are part of the data.
        at: microseconds, when it happened.
        facts: the other fields of the type's contract; a field of None is left out, and one whose format is date-time
            may be microseconds.
        about: what makes the event one of its kind at that endpoint and instant, such as the id of a delivery.

    Raises:
        ValueError: the facts are not what the contract of the type asks for. That is an error of the program.
    """
    kind = EVENT_TYPES[event_type]
    given = {
        "endpoint_id": endpoint.endpoint_id,
        "host": urlsplit(endpoint.url).hostname or "",
        "description": endpoint.description or None,
        **facts,
    }
    instants = {field.name for field in kind.fields if field.format == "date-time"}
    data = {
        name: rfc3339(value) if name in instants and isinstance(value, int) else value
        for name, value in given.items()
        if value is not None
    }
    unknown = data.keys() - {field.name for field in kind.fields}
    missing = {field.name for field in kind.fields if field.required} - data.keys()
    if event_type not in OPERATOR_TYPES or unknown or missing:
        raise ValueError(f"{event_type}: missing {sorted(missing)}, unknown {sorted(unknown)}")
    return {
        "tenant": endpoint.tenant,
        "event_id": identifier(endpoint.tenant, event_type, endpoint.endpoint_id, about, str(at)),
        "type": event_type,
        "subject": f"endpoint:{endpoint.endpoint_id}",
        "time": at,
        "recorded_time": at,
        "data": json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
    }


def tell_operator(connection: Connection, event: dict[str, Any], now: int) -> int:
    """Put such an event and its deliveries into the outbox; how many deliveries. Doing it twice does nothing.

    Args:
        connection: of the transaction in which it happened.
        event: from ``operator_event``.
        now: microseconds; when the deliveries are due.
    """
    tenant, event_id, data = event["tenant"], event["event_id"], json.loads(event["data"])
    known = select(events.c.event_id).where(events.c.tenant == tenant, events.c.event_id == event_id)
    if connection.execute(known).first():
        return 0
    targets = [
        endpoint
        for endpoint in endpoints.listed(connection, tenant, endpoints.COLLECTING)
        if endpoint.endpoint_id != data["endpoint_id"] and endpoint.wants(event["type"], data)
    ]
    connection.execute(insert(events).values(event))
    rows = [delivery_row(tenant, event_id, target.endpoint_id, now) for target in targets]
    if rows:
        connection.execute(insert(deliveries), rows)
    return len(rows)
