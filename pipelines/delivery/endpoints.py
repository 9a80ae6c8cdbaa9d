"""Endpoints: who is told, where, and with which secrets. Every change is one transaction of the caller's.

Objects here never hold a secret; it is made once for the caller to show, and stored encrypted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from pipelines.delivery.guard import check_url
from pipelines.delivery.instants import SECOND
from pipelines.delivery.signing import key_of
from pipelines.delivery.subscriptions import check_filters, check_types, matches
from pipelines.errors import UsageError
from pipelines.storage.control.cipher import Cipher
from pipelines.storage.control.tables import deliveries, endpoints

ROTATION_SECONDS = 24 * 3600
MAX_IN_FLIGHT = 16
DEFAULT_TYPES = ("cohort.*",)


@dataclass(frozen=True)
class Wish:
    """What somebody asks an endpoint to be.

    Attributes:
        tenant: whose events.
        url: where they go.
        event_types: types or patterns, see ``subscriptions``.
        filters: on fields of ``data``, likewise.
        description: for people.
        mode: live, or sandbox, which records and never sends.
        allow_private: http and private addresses are allowed.
        declared_in: file of the tenant's folder that owns the endpoint.
    """

    tenant: str
    url: str
    event_types: tuple[str, ...] = DEFAULT_TYPES
    filters: Mapping[str, Any] | None = None
    description: str = ""
    mode: str = "live"
    allow_private: bool = False
    declared_in: str | None = None

    def columns(self) -> dict[str, Any]:
        """Values of the columns that a wish decides.

        Raises:
            UsageError: URL, types or filters are not acceptable.
        """
        check_url(self.url, allow_private=self.allow_private)
        check_types(self.event_types)
        check_filters(self.filters or {})
        return {
            "tenant": self.tenant,
            "url": self.url,
            "description": self.description,
            "event_types": json.dumps(list(self.event_types)),
            "filters": json.dumps(self.filters or {}, sort_keys=True),
            "format": "cloudevents",
            "mode": self.mode,
            "allow_private": self.allow_private,
            "max_in_flight": MAX_IN_FLIGHT,
            "declared_in": self.declared_in,
        }


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as it is stored, without its secrets; instants in microseconds."""

    endpoint_id: str
    tenant: str
    url: str
    description: str
    event_types: tuple[str, ...]
    filters: dict[str, Any]
    mode: str
    allow_private: bool
    state: str
    disabled_because: str | None
    paused_until: int | None
    declared_in: str | None
    created_at: int

    def wants(self, event_type: str, data: Mapping[str, Any]) -> bool:
        """Whether an event is for this endpoint."""
        return matches(self.event_types, self.filters, event_type, data)


def add(connection: Connection, cipher: Cipher, endpoint_id: str, wish: Wish, secret: str, now: int) -> Endpoint:
    """Register an endpoint.

    Raises:
        UsageError: the wish or the secret is not acceptable.
    """
    key_of(secret)
    values = {
        **wish.columns(),
        "endpoint_id": endpoint_id,
        "secret": cipher.encrypt(secret, endpoint_id),
        "state": "active",
        "created_at": now,
        "updated_at": now,
    }
    connection.execute(insert(endpoints).values(values))
    return get(connection, endpoint_id)


def get(connection: Connection, endpoint_id: str) -> Endpoint:
    """One endpoint, whatever its state.

    Raises:
        UsageError: there is none of that id.
    """
    row = connection.execute(select(endpoints).where(endpoints.c.endpoint_id == endpoint_id)).mappings().first()
    if row is None:
        raise UsageError(f"there is no endpoint {endpoint_id!r}; list them with: murmur webhook list")
    return _endpoint(row)


def listed(connection: Connection, tenant: str | None = None, states: Sequence[str] = ()) -> list[Endpoint]:
    """Endpoints in the order in which they were made; all but deleted ones where no state is named."""
    found = select(endpoints).order_by(endpoints.c.created_at, endpoints.c.endpoint_id)
    found = found.where(endpoints.c.state.in_(states) if states else endpoints.c.state != "deleted")
    if tenant is not None:
        found = found.where(endpoints.c.tenant == tenant)
    return [_endpoint(row) for row in connection.execute(found).mappings()]


def rotate(
    connection: Connection,
    cipher: Cipher,
    endpoint_id: str,
    secret: str,
    now: int,
    overlap_seconds: int = ROTATION_SECONDS,
) -> None:
    """Replace the secret; the old one signs beside the new one for a while, or not at all after 0 seconds."""
    key_of(secret)
    get(connection, endpoint_id)
    where = endpoints.c.endpoint_id == endpoint_id
    current = connection.execute(select(endpoints.c.secret).where(where)).scalar_one()
    values = {
        "secret": cipher.encrypt(secret, endpoint_id),
        "previous_secret": current if overlap_seconds else None,
        "previous_until": now + overlap_seconds * SECOND if overlap_seconds else None,
        "updated_at": now,
    }
    connection.execute(update(endpoints).where(where).values(values))


def set_state(connection: Connection, endpoint_id: str, state: str, now: int, because: str | None = None) -> None:
    """Enable, disable or delete. A disabled endpoint keeps its deliveries; a deleted one's are cancelled."""
    get(connection, endpoint_id)
    values = {"state": state, "disabled_because": because, "paused_until": None, "updated_at": now}
    connection.execute(update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(values))
    if state == "deleted":
        waiting = deliveries.c.state.in_(("pending", "delivering"))
        own = deliveries.c.endpoint_id == endpoint_id
        connection.execute(update(deliveries).where(own, waiting).values(state="cancelled", finished_at=now))


def _endpoint(row: RowMapping) -> Endpoint:
    return Endpoint(
        endpoint_id=row["endpoint_id"],
        tenant=row["tenant"],
        url=row["url"],
        description=row["description"],
        event_types=tuple(json.loads(row["event_types"])),
        filters=json.loads(row["filters"]),
        mode=row["mode"],
        allow_private=row["allow_private"],
        state=row["state"],
        disabled_because=row["disabled_because"],
        paused_until=row["paused_until"],
        declared_in=row["declared_in"],
        created_at=row["created_at"],
    )
