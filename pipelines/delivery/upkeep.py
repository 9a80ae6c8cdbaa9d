"""What keeps the control data small and sane: retention of the ledger, and what clocks and deletions left behind.

Ids of events stay for ever, so that nothing is taken over from the lake and sent a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, func, literal_column, or_, select, update

from pipelines.delivery.instants import SECOND
from pipelines.delivery.places import DELIVERING, PENDING
from pipelines.delivery.retry import DEADLINE_SECONDS
from pipelines.storage.control import reading, writing
from pipelines.storage.control.rowset import packed, rowset
from pipelines.storage.control.tables import attempts, deliveries, endpoints, events

DAY_SECONDS = 24 * 3600
#: Nothing is put off for longer than the deadline; what is, was written by a clock that was wrong.
ABSURD_SECONDS = DEADLINE_SECONDS + 3600
#: Rows of one transaction, so that the worker waits for none of them for long.
CHUNK = 1000
_ENDED = deliveries.c.state.in_([literal_column(f"'{state}'") for state in ("delivered", "dead", "cancelled")])


@dataclass(frozen=True)
class Pruned:
    """How much was removed: deliveries that ended, attempts, and events whose data were emptied."""

    deliveries: int = 0
    attempts: int = 0
    events: int = 0


def retention_due(engine: Engine, tenant: str, days: int, now: int) -> bool:
    """Whether the ledger reaches at least a day further back than it is kept, which an index answers."""
    with reading(engine) as connection:
        # The tenant's own first row may be later; then there is only less to do.
        oldest = connection.execute(select(func.min(attempts.c.at))).scalar()
        if oldest is None or oldest >= now - (days + 1) * DAY_SECONDS * SECOND:
            return False
        own = select(attempts.c.at).where(attempts.c.tenant == tenant).order_by(attempts.c.at).limit(1)
        first = connection.execute(own).scalar()
    return first is not None and first < now - (days + 1) * DAY_SECONDS * SECOND


def prune(engine: Engine, tenant: str, before: int) -> Pruned:
    """Remove what ended before an instant; what still waits stays, however old.

    Args:
        engine: of the control data.
        tenant: whose.
        before: microseconds.
    """
    ended = select(deliveries.c.delivery_id).where(
        deliveries.c.tenant == tenant, deliveries.c.finished_at < before, _ENDED
    )
    made = select(attempts.c.attempt_id).where(attempts.c.tenant == tenant, attempts.c.at < before)
    wanted = select(deliveries.c.event_id).where(
        deliveries.c.event_id == events.c.event_id,
        deliveries.c.endpoint_id.in_(select(endpoints.c.endpoint_id).where(endpoints.c.tenant == tenant)),
    )
    told = select(events.c.sequence).where(
        events.c.tenant == tenant, events.c.recorded_time < before, events.c.data != "", ~wanted.exists()
    )
    return Pruned(
        _in_chunks(engine, ended, "text", _remove_deliveries),
        _in_chunks(engine, made, "int", _remove_attempts),
        _in_chunks(engine, told, "int", _empty_events),
    )


def mend(engine: Engine, now: int) -> None:
    """Undo what a clock that was far ahead wrote, and cancel what waits for endpoints that are deleted."""
    absurd = now + ABSURD_SECONDS * SECOND
    gone = select(endpoints.c.endpoint_id).where(endpoints.c.state == "deleted")
    statements = (
        update(deliveries).where(PENDING, deliveries.c.next_attempt_at > absurd).values(next_attempt_at=now),
        update(deliveries).where(DELIVERING, deliveries.c.lease_until > absurd).values(lease_until=now),
        update(deliveries)
        .where(PENDING, deliveries.c.endpoint_id.in_(gone))
        .values(state="cancelled", finished_at=now),
        *(
            update(endpoints).where(endpoints.c[name] > absurd).values({name: None})
            for name in ("paused_until", "open_until", "paced_until")
        ),
    )
    late = or_(*(endpoints.c[name] > absurd for name in ("paused_until", "open_until", "paced_until")))
    with reading(engine) as connection:
        looks = (
            select(deliveries.c.delivery_id).where(PENDING, deliveries.c.next_attempt_at > absurd),
            select(deliveries.c.delivery_id).where(DELIVERING, deliveries.c.lease_until > absurd),
            select(deliveries.c.delivery_id).where(PENDING, deliveries.c.endpoint_id.in_(gone)),
            select(endpoints.c.endpoint_id).where(late),
        )
        if not any(connection.execute(look.limit(1)).first() for look in looks):
            return
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(statement)


def _in_chunks(engine: Engine, found: Select[Any], kind: str, act: Any) -> int:
    """Act on ids, so many in a transaction, until there are none."""
    own = rowset(engine.dialect.name, "ids", {"id": kind})
    done = 0
    while True:
        with reading(engine) as connection:
            ids = list(connection.execute(found.limit(CHUNK)).scalars())
        if not ids:
            return done
        with writing(engine) as connection:
            act(connection, select(own.c.id), {"ids": packed([{"id": each} for each in ids])})
        done += len(ids)


def _remove_deliveries(connection: Connection, ids: Select[Any], given: dict[str, str]) -> None:
    connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(ids)), given)
    connection.execute(delete(deliveries).where(deliveries.c.delivery_id.in_(ids), _ENDED), given)


def _remove_attempts(connection: Connection, ids: Select[Any], given: dict[str, str]) -> None:
    connection.execute(delete(attempts).where(attempts.c.attempt_id.in_(ids)), given)


def _empty_events(connection: Connection, ids: Select[Any], given: dict[str, str]) -> None:
    connection.execute(update(events).where(events.c.sequence.in_(ids)).values(data=""), given)
