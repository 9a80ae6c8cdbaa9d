"""Claims on deliveries: leases with a token. Nothing is sent here, and what came of it is ``settling``'s.

A claim whose lease ran out may be claimed again; whoever held it before can no longer settle it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, Update, bindparam, func, select, update

from pipelines.delivery import pace
from pipelines.delivery.envelope import Event
from pipelines.delivery.places import DELIVERING, PENDING, Places, open_places, shares
from pipelines.delivery.target import Target
from pipelines.storage.control import reading, writing
from pipelines.storage.control.rowset import fetched, packed, rowset
from pipelines.storage.control.tables import deliveries, endpoints, events

#: Name of the work that workers do one after another: two that claim at once would both see the same free places.
ALONE = "deliveries"
#: Columns of a delivery and its event, in the order of ``_rows_query``.
Fields = Sequence[Any]


class Claim(NamedTuple):
    """A delivery that this worker may attempt until its lease ends."""

    delivery_id: str
    purpose: str
    attempts: int
    first_attempt_at: int | None
    token: str
    target: Target
    event: Event


@dataclass(frozen=True)
class Want:
    """What a worker asks for.

    Attributes:
        tenants: whose deliveries.
        limit: at most so many.
        lease_micros: how long they are kept from others.
        due_by: only what was due by this instant; now where None.
        only: these delivery ids and no others.
        retries: at most so many retries; no limit of their own where None.
        held: what this worker is about to settle, which it does not claim again although its lease seems to be over.
    """

    tenants: tuple[str, ...]
    limit: int
    lease_micros: int
    due_by: int | None = None
    only: Collection[str] | None = None
    retries: int | None = None
    held: Collection[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Taken:
    """Claims, and whether more is due that only waits for the rate of its endpoint."""

    claims: list[Claim]
    paced: bool = False


def something_due(engine: Engine, want: Want, now: int) -> bool:
    """A look without the write lock, since an idle worker asks many times a second; also true where a rate waits."""
    with reading(engine) as connection:
        found, paced = open_places(connection, want.tenants, now, _due_by(want, now))
        return bool(found) or paced or connection.execute(_EXPIRED, {"now": now}).first() is not None


def claim(engine: Engine, want: Want, now: int, token: str) -> list[Claim]:
    """Take due deliveries, first attempts before retries, as many of each endpoint as it allows."""
    with writing(engine, alone=ALONE) as connection:
        return take(connection, want, now, token).claims


def take(connection: Connection, want: Want, now: int, token: str) -> Taken:
    """``claim`` in a transaction of the caller, who does this ``ALONE``."""
    _release_expired(connection, want, now)
    found, paced = open_places(connection, want.tenants, now, _due_by(want, now))
    shared = shares(found, want.limit)
    ids, begun = _chosen(connection, shared, want, now)
    if not ids:
        return Taken([], paced)
    _keep_pace(connection, begun, now)
    rows = fetched(connection, _rows_query(connection.dialect.name), {"ids": _packed_ids(ids)})
    held = _lease(connection, ids, now + want.lease_micros, token)
    targets = _targets(connection, [places.endpoint_id for places, number in begun if number])
    return Taken([_claim(row, token, targets[row[4]]) for row in rows if row[0] in held], paced)


def _due_by(want: Want, now: int) -> int:
    return now if want.due_by is None else want.due_by


_EXPIRED = select(deliveries.c.delivery_id).where(DELIVERING, deliveries.c.lease_until <= bindparam("now"))


def _release_expired(connection: Connection, want: Want, now: int) -> None:
    expired = [row[0] for row in connection.execute(_EXPIRED, {"now": now}) if row[0] not in want.held]
    if expired:
        own = rowset(connection.dialect.name, "ids", {"delivery_id": "text"})
        freed = {"state": "pending", "lease_until": None, "lease_token": None}
        statement = update(deliveries).where(deliveries.c.delivery_id == own.c.delivery_id, DELIVERING).values(freed)
        connection.execute(statement, {"ids": _packed_ids(expired)})


def _chosen(
    connection: Connection, shared: Sequence[tuple[Places, int]], want: Want, now: int
) -> tuple[list[str], list[tuple[Places, int]]]:
    """Ids that are taken, and how many of each endpoint: first attempts, then retries as far as there is room."""
    firsts = _next_ids(connection, [pair for pair in shared if pair[0].firsts], False, want, now)
    retries = _next_ids(connection, [pair for pair in shared if pair[0].retries], True, want, now)
    again = want.limit if want.retries is None else want.retries
    ids: list[str] = []
    begun: list[tuple[Places, int]] = []
    for places, room in shared:
        first = firsts.get(places.endpoint_id, [])[:room]
        most = max(0, min(again, max(min(places.for_retries, room), room - len(first))))
        second = retries.get(places.endpoint_id, [])[:most]
        again -= len(second)
        own = first[: room - len(second)] + second
        ids += own
        begun.append((places, len(own)))
    return ids, begun


def _next_ids(
    connection: Connection, shared: Sequence[tuple[Places, int]], retrying: bool, want: Want, now: int
) -> dict[str, list[str]]:
    """Ids of what is due next by endpoint, the longest due first; a few more than there is room for."""
    if not shared:
        return {}
    given = {
        "endpoints": packed([{"endpoint_id": places.endpoint_id} for places, _ in shared]),
        "due_by": _due_by(want, now),
        "room": max(room for _, room in shared),
    }
    query = _next_query(connection.dialect.name, retrying, None if want.only is None else tuple(sorted(want.only)))
    found = {row[0]: row[1] for row in connection.execute(query, given).all()}
    return {key: json.loads(ids) if isinstance(ids, str) else ids or [] for key, ids in found.items()}


@lru_cache(maxsize=16)
def _next_query(dialect: str, retrying: bool, only: tuple[str, ...] | None) -> Select[Any]:
    """One row an endpoint, its ids as one value: a query for each endpoint would cost more than the deliveries."""
    asked = rowset(dialect, "endpoints", {"endpoint_id": "text"})
    waiting = (
        select(deliveries.c.delivery_id)
        .where(PENDING, deliveries.c.endpoint_id == asked.c.endpoint_id, deliveries.c.retrying.is_(retrying))
        .where(deliveries.c.next_attempt_at <= bindparam("due_by"))
        .order_by(deliveries.c.next_attempt_at)
        .limit(bindparam("room"))
    )
    chosen = waiting if only is None else waiting.where(deliveries.c.delivery_id.in_(only))
    ids = chosen.correlate(asked).subquery("next")
    gathered = func.json_group_array if dialect == "sqlite" else func.json_agg
    return select(asked.c.endpoint_id, select(gathered(ids.c.delivery_id)).correlate(asked).scalar_subquery())


@lru_cache(maxsize=2)
def _rows_query(dialect: str) -> Select[Any]:
    """Deliveries with their events, by id; in the order of ``_claim``."""
    own = rowset(dialect, "ids", {"delivery_id": "text"})
    of_event = ("event_id", "tenant", "type", "subject", "time", "recorded_time", "sequence", "data")
    of_delivery = ("delivery_id", "purpose", "attempts", "first_attempt_at", "endpoint_id")
    return (
        select(*(deliveries.c[name] for name in of_delivery), *(events.c[name] for name in of_event))
        .join(own, own.c.delivery_id == deliveries.c.delivery_id)
        .join(events, (events.c.tenant == deliveries.c.tenant) & (events.c.event_id == deliveries.c.event_id))
        .where(PENDING)
        .order_by(deliveries.c.retrying, deliveries.c.next_attempt_at, events.c.sequence)
    )


def _packed_ids(ids: Sequence[str]) -> str:
    return packed([{"delivery_id": each} for each in ids])


def _keep_pace(connection: Connection, begun: Sequence[tuple[Places, int]], now: int) -> None:
    for places, number in begun:
        if places.rate is not None and number:
            until = pace.reached(places.rate, places.paced_until, now, number)
            own = endpoints.c.endpoint_id == places.endpoint_id
            connection.execute(update(endpoints).where(own).values(paced_until=until))


def _lease(connection: Connection, ids: Sequence[str], until: int, token: str) -> set[str]:
    """Lease deliveries; the ids that were still pending, which on PostgreSQL may be fewer than were read."""
    statement = _lease_statement(connection.dialect.name)
    given = {"ids": _packed_ids(ids), "until": until, "token": token}
    if connection.execute(statement, given).rowcount == len(ids):
        return set(ids)
    return set(connection.execute(select(deliveries.c.delivery_id).where(deliveries.c.lease_token == token)).scalars())


@lru_cache(maxsize=2)
def _lease_statement(dialect: str) -> Update:
    own = rowset(dialect, "ids", {"delivery_id": "text"})
    held = {"state": "delivering", "lease_until": bindparam("until"), "lease_token": bindparam("token")}
    return update(deliveries).where(deliveries.c.delivery_id == own.c.delivery_id, PENDING).values(held)


def _targets(connection: Connection, ids: Sequence[str]) -> dict[str, Target]:
    given = {"ids": packed([{"endpoint_id": each} for each in ids])}
    found = connection.execute(_targets_query(connection.dialect.name), given).mappings()
    return {row["endpoint_id"]: Target.of(row) for row in found}


@lru_cache(maxsize=2)
def _targets_query(dialect: str) -> Select[Any]:
    own = rowset(dialect, "ids", {"endpoint_id": "text"})
    return select(endpoints).join(own, own.c.endpoint_id == endpoints.c.endpoint_id)


def _claim(row: Fields, token: str, target: Target) -> Claim:
    return Claim(row[0], row[1], row[2], row[3], token, target, Event(*row[5:]))
