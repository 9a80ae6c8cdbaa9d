"""Endpoints: who is told, where, and with which secrets. Every change is one transaction of the caller's.

An ``Endpoint`` never holds a secret or the value of a header; they are stored encrypted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from pipelines.delivery.cdp.hubs import HUBS
from pipelines.delivery.formats import FORMATS, MOST_IN_BATCH
from pipelines.delivery.guard import check_url
from pipelines.delivery.instants import SECOND
from pipelines.delivery.own_headers import check_headers
from pipelines.delivery.signing import key_of
from pipelines.delivery.subscriptions import check_fields, check_filters, check_types, matches, of_type
from pipelines.errors import UsageError
from pipelines.storage.control.cipher import Cipher
from pipelines.storage.control.tables import deliveries, endpoints

ROTATION_SECONDS = 24 * 3600
MAX_IN_FLIGHT = 16
MOST_IN_FLIGHT = 256
HIGHEST_RATE = 10_000
#: Events in flight at once to a platform, and in one request, at most: half of what a worker has in flight.
PLATFORM_BATCH = 500
MODES = ("live", "sandbox")
HANDSHAKES = ("off", "optional", "required")
#: Why an endpoint is disabled that has not yet said that it wants events.
AWAITS_HANDSHAKE = "handshake"
#: States in which events become deliveries; those of other states but active wait.
COLLECTING = ("active", "disabled", "suspended")
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
        format: cloudevents, or flock for Flock's shape A; or the kind of a customer data platform.
        headers: added to each request; their values are secrets.
        batch_max: events in one request; 1 for no batches.
        max_in_flight: requests at once.
        rate: attempts a second at most; None for no limit.
        handshake: whether the receiver is asked for permission first: off, optional or required.
        mode: live, or sandbox, which records and never sends.
        allow_private: http and private addresses are allowed.
        declared_in: file of the tenant's folder that owns the endpoint.
        settings: of a platform, see ``cdp``.
    """

    tenant: str
    url: str
    event_types: tuple[str, ...] = DEFAULT_TYPES
    filters: Mapping[str, Any] | None = None
    description: str = ""
    format: str = "cloudevents"
    headers: Mapping[str, str] | None = None
    batch_max: int = 1
    max_in_flight: int = MAX_IN_FLIGHT
    rate: int | None = None
    handshake: str = "off"
    mode: str = "live"
    allow_private: bool = False
    declared_in: str | None = None
    settings: Mapping[str, Any] | None = None

    def columns(self) -> dict[str, Any]:
        """Values of the columns that a wish decides, but for what is stored encrypted.

        Raises:
            UsageError: something is not acceptable; the message says what, and no secret.
        """
        check_url(self.url, allow_private=self.allow_private)
        check_types(self.event_types)
        check_filters(self.filters or {})
        check_fields(self.event_types, self.filters or {})
        check_headers(self.headers or {})
        self._check_settings()
        return {
            "tenant": self.tenant,
            "url": self.url,
            "description": self.description,
            "event_types": json.dumps(list(self.event_types)),
            "filters": json.dumps(self.filters or {}, sort_keys=True),
            "format": self.format,
            "header_names": json.dumps(sorted(self.headers or {})),
            "batch_max": self.batch_max,
            "max_in_flight": self.max_in_flight,
            "rate": self.rate,
            "handshake": self.handshake,
            "mode": self.mode,
            "allow_private": self.allow_private,
            "declared_in": self.declared_in,
            "settings": json.dumps(self.settings or {}, sort_keys=True),
        }

    def sealed_headers(self, cipher: Cipher, endpoint_id: str) -> str | None:
        """The owner's headers as they are stored; None without any."""
        if not self.headers:
            return None
        return cipher.encrypt(json.dumps(dict(self.headers), sort_keys=True), endpoint_id)

    @property
    def is_platform(self) -> bool:
        """Whether it is a customer data platform's, which has a credential and no signatures."""
        return self.format in HUBS

    def _check_settings(self) -> None:
        for name, value, known in (
            ("format", self.format, (*FORMATS, *HUBS)),
            ("mode", self.mode, MODES),
            ("handshake", self.handshake, HANDSHAKES),
        ):
            if value not in known:
                raise UsageError(f"{name}: is {value!r}; choose one of {', '.join(known)}")
        for name, number, most in (
            ("batch_max", self.batch_max, PLATFORM_BATCH if self.is_platform else MOST_IN_BATCH),
            ("max_in_flight", self.max_in_flight, PLATFORM_BATCH if self.is_platform else MOST_IN_FLIGHT),
            ("rate", 1 if self.rate is None else self.rate, HIGHEST_RATE),
        ):
            if not 1 <= number <= most:
                raise UsageError(f"{name}: is {number}; choose a number from 1 to {most}")
        if self.format == "flock" and self.batch_max > 1:
            raise UsageError("batch_max: the flock format has no batches; leave it out or choose cloudevents")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as it is stored, without its secrets; instants in microseconds."""

    endpoint_id: str
    tenant: str
    url: str
    description: str
    event_types: tuple[str, ...]
    filters: dict[str, Any]
    format: str
    header_names: tuple[str, ...]
    batch_max: int
    max_in_flight: int
    rate: int | None
    handshake: str
    handshake_at: int | None
    handshake_result: str | None
    mode: str
    allow_private: bool
    state: str
    disabled_because: str | None
    paused_until: int | None
    declared_in: str | None
    settings: dict[str, Any]
    created_at: int

    def wants(self, event_type: str, data: Mapping[str, Any]) -> bool:
        """Whether an event is for this endpoint.

        A platform's file narrows cohorts and signals apart, so that of its filters only those are asked that are on a
        field of the event's type.
        """
        filters = of_type(self.filters, event_type) if self.format in HUBS else self.filters
        return matches(self.event_types, filters, event_type, data)


def add(connection: Connection, cipher: Cipher, endpoint_id: str, wish: Wish, secret: str, now: int) -> Endpoint:
    """Register an endpoint.

    Raises:
        UsageError: the wish or the secret is not acceptable.
    """
    if not wish.is_platform:
        key_of(secret)
    values = {
        **wish.columns(),
        "endpoint_id": endpoint_id,
        "secret": cipher.encrypt(secret, endpoint_id),
        "headers": wish.sealed_headers(cipher, endpoint_id),
        "state": "disabled" if wish.handshake == "required" else "active",
        "disabled_because": AWAITS_HANDSHAKE if wish.handshake == "required" else None,
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
    if get(connection, endpoint_id).format not in HUBS:
        key_of(secret)
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
    """Enable, disable, suspend or delete.

    A disabled or suspended endpoint keeps its deliveries, and new ones wait with them; a deleted one's are cancelled.

    Raises:
        UsageError: there is no such endpoint, or it was deleted.
    """
    stored = get(connection, endpoint_id)
    # The file that declares an endpoint brings it back.
    if stored.state == "deleted" and state != "deleted" and stored.declared_in is None:
        raise UsageError(f"endpoint {endpoint_id} was deleted; add it again to send to it")
    values = {"state": state, "disabled_because": because, "paused_until": None, "updated_at": now}
    connection.execute(update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(values))
    if state == "active" and stored.format in HUBS:
        _begin_anew(connection, endpoint_id)
    if state == "deleted":
        waiting = deliveries.c.state.in_(("pending", "delivering"))
        own = deliveries.c.endpoint_id == endpoint_id
        connection.execute(update(deliveries).where(own, waiting).values(state="cancelled", finished_at=now))


def _begin_anew(connection: Connection, endpoint_id: str) -> None:
    """Forget the attempts at what waits: nobody could take it meanwhile, so its deadline begins with the next one."""
    own = (deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "pending")
    values = {"attempts": 0, "retrying": False, "first_attempt_at": None}
    connection.execute(update(deliveries).where(*own).values(values))


def _endpoint(row: RowMapping) -> Endpoint:
    return Endpoint(
        endpoint_id=row["endpoint_id"],
        tenant=row["tenant"],
        url=row["url"],
        description=row["description"],
        event_types=tuple(json.loads(row["event_types"])),
        filters=json.loads(row["filters"]),
        format=row["format"],
        header_names=tuple(json.loads(row["header_names"])),
        batch_max=row["batch_max"],
        max_in_flight=row["max_in_flight"],
        rate=row["rate"],
        handshake=row["handshake"],
        handshake_at=row["handshake_at"],
        handshake_result=row["handshake_result"],
        mode=row["mode"],
        allow_private=row["allow_private"],
        state=row["state"],
        disabled_because=row["disabled_because"],
        paused_until=row["paused_until"],
        declared_in=row["declared_in"],
        settings=json.loads(row["settings"]),
        created_at=row["created_at"],
    )
