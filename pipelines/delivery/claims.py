"""Claims on deliveries: leases with a token. Nothing is sent here, and what came of it is ``settling``'s.

A claim whose lease ran out may be claimed again; whoever held it before can no longer settle it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, Update, bindparam, select, update

from pipelines.delivery import pace
from pipelines.delivery.envelope import Event
from pipelines.delivery.places import DELIVERING, PENDING, Places, open_places, shares
from pipelines.delivery.target import Target
from pipelines.storage.control import reading, writing
from pipelines.storage.control.rowset import fetched, packed, rowset
from pipelines.storage.control.tables import deliveries, endpoints, events

#: Name of the work that workers do one after another: two that claim at once would both see the same free places.
ALONE = "deliveries"
#: Columns of a delivery and its event, in the order of ``_waiting``.
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
    rows: list[Fields] = []
    begun: list[tuple[Places, int]] = []
    again = want.limit if want.retries is None else want.retries
    for places, part in shares(found, want.limit):
        firsts, retries = _due(connection, places, part, again, want, now)
        again -= len(retries)
        rows += firsts + retries
        begun.append((places, len(firsts) + len(retries)))
    if not rows:
        return Taken([], paced)
    _keep_pace(connection, begun, now)
    ids = _lease(connection, rows, now + want.lease_micros, token)
    targets = _targets(connection, [places.endpoint_id for places, number in begun if number])
    return Taken([_claim(row, token, targets[row[4]]) for row in rows if row[0] in ids], paced)


def _due_by(want: Want, now: int) -> int:
    return now if want.due_by is None else want.due_by


_EXPIRED = select(deliveries.c.delivery_id).where(DELIVERING, deliveries.c.lease_until <= bindparam("now"))


def _release_expired(connection: Connection, want: Want, now: int) -> None:
    expired = [row[0] for row in connection.execute(_EXPIRED, {"now": now}) if row[0] not in want.held]
    if expired:
        own = rowset(connection.dialect.name, "ids", {"delivery_id": "text"})
        freed = {"state": "pending", "lease_until": None, "lease_token": None}
        statement = update(deliveries).where(deliveries.c.delivery_id == own.c.delivery_id, DELIVERING).values(freed)
        connection.execute(statement, {"ids": packed([{"delivery_id": each} for each in expired])})


def _waiting(retrying: bool) -> Any:
    return (
        select(
            deliveries.c.delivery_id,
            deliveries.c.purpose,
            deliveries.c.attempts,
            deliveries.c.first_attempt_at,
            deliveries.c.endpoint_id,
            *(
                events.c[name]
                for name in (
                    *("event_id", "tenant", "type", "subject"),
                    *("time", "recorded_time", "sequence", "data"),
                )
            ),
        )
        .join(events, (events.c.tenant == deliveries.c.tenant) & (events.c.event_id == deliveries.c.event_id))
        .where(PENDING, deliveries.c.endpoint_id == bindparam("endpoint"), deliveries.c.retrying.is_(retrying))
        .where(deliveries.c.next_attempt_at <= bindparam("due_by"))
        .order_by(deliveries.c.next_attempt_at)
        .limit(bindparam("room"))
    )


_FIRSTS, _RETRIES = _waiting(retrying=False), _waiting(retrying=True)


def _due(
    connection: Connection, places: Places, room: int, again: int, want: Want, now: int
) -> tuple[list[Fields], list[Fields]]:
    """First attempts and retries of an endpoint that fit into its room; at most ``again`` retries."""
    given = {"endpoint": places.endpoint_id, "due_by": _due_by(want, now)}
    firsts, retries = _FIRSTS, _RETRIES
    if want.only is not None:
        chosen = deliveries.c.delivery_id.in_(want.only)
        firsts, retries = firsts.where(chosen), retries.where(chosen)
    first: list[Fields] = []
    if places.firsts:
        first = fetched(connection, firsts, {**given, "room": room})
    most = min(again, max(min(places.for_retries, room), room - len(first)))
    second: list[Fields] = []
    if places.retries and most > 0:
        second = fetched(connection, retries, {**given, "room": most})
    return first[: room - len(second)], second


def _keep_pace(connection: Connection, begun: Sequence[tuple[Places, int]], now: int) -> None:
    for places, number in begun:
        if places.rate is not None and number:
            until = pace.reached(places.rate, places.paced_until, now, number)
            own = endpoints.c.endpoint_id == places.endpoint_id
            connection.execute(update(endpoints).where(own).values(paced_until=until))


def _lease(connection: Connection, rows: Sequence[Fields], until: int, token: str) -> set[str]:
    """Lease the rows; the ids that were still pending, which on PostgreSQL may be fewer than were read."""
    ids = [row[0] for row in rows]
    statement = _lease_statement(connection.dialect.name)
    given = {"ids": packed([{"delivery_id": each} for each in ids]), "until": until, "token": token}
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
