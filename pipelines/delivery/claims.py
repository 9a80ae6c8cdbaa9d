"""Claims on deliveries as leases with a token, and the settling of attempts. SQL only; sending is ``worker``'s.

A claim whose lease ran out may be claimed again; whoever held it before can no longer settle it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Engine, RowMapping, Select, case, func, insert, or_, select, update

from pipelines.delivery.envelope import Event
from pipelines.delivery.retry import Decision
from pipelines.delivery.target import COLUMNS as TARGET_COLUMNS
from pipelines.delivery.target import Target
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import attempts, deliveries, endpoints, events

#: One place in so many of an endpoint is kept for retries.
RETRY_SHARE = 4

Outcome = Literal["delivered", "retry", "dead", "sandbox", "late"]


@dataclass(frozen=True)
class Claim:
    """A delivery that this worker may attempt until its lease ends."""

    delivery_id: str
    purpose: str
    attempts: int
    first_attempt_at: int | None
    token: str
    target: Target
    event: Event


@dataclass(frozen=True)
class Attempt:
    """One attempt that was made and what follows from it.

    Attributes:
        claim: what was attempted.
        at: microseconds, before the request.
        finished_at: microseconds, after it.
        url: as kept in the ledger.
        decision: what follows.
        status: HTTP status; None without an answer.
        error_class: why there was none, or what kind of answer it was.
        latency_ms: until the headers.
        response: redacted excerpt.
    """

    claim: Claim
    at: int
    finished_at: int
    url: str
    decision: Decision
    status: int | None
    error_class: str | None
    latency_ms: int
    response: str | None


@dataclass(frozen=True)
class Want:
    """What a worker asks for.

    Attributes:
        tenants: whose deliveries.
        limit: at most so many.
        lease_micros: how long they are kept from others.
        due_by: only what was due by this instant; now where None.
        only: these delivery ids and no others.
    """

    tenants: tuple[str, ...]
    limit: int
    lease_micros: int
    due_by: int | None = None
    only: Collection[str] | None = None


def claim(engine: Engine, want: Want, now: int, token: str) -> list[Claim]:
    """Take due deliveries, at most ``max_in_flight`` of each endpoint, first attempts before retries.

    A quarter of an endpoint's places is kept for retries, so that neither kind waits for the other for ever.
    """
    due_by = now if want.due_by is None else want.due_by
    with reading(engine) as connection:
        if not _anything(connection, now, due_by):
            return []
    with writing(engine) as connection:
        _release_expired(connection, now)
        rows: list[RowMapping] = []
        for places in _places(connection, want, now):
            rows += _due(connection, places, want.limit - len(rows), due_by, want.only)
        ids = [row["delivery_id"] for row in rows]
        taken = {"state": "delivering", "lease_until": now + want.lease_micros, "lease_token": token}
        if ids:
            connection.execute(update(deliveries).where(deliveries.c.delivery_id.in_(ids)).values(taken))
    return [_claim(row, token) for row in rows]


def settle(engine: Engine, done: Sequence[Attempt]) -> list[Outcome]:
    """Record attempts and their consequences in one transaction, in order; ``late`` where the lease was lost."""
    with writing(engine) as connection:
        return [_settle(connection, attempt) for attempt in done]


def _settle(connection: Connection, attempt: Attempt) -> Outcome:
    decision, claimed = attempt.decision, attempt.claim
    held = (
        deliveries.c.delivery_id == claimed.delivery_id,
        deliveries.c.lease_token == claimed.token,
        deliveries.c.state == "delivering",
    )
    values: dict[str, Any] = {
        "state": "pending" if decision.verdict == "retry" else decision.verdict,
        "attempts": claimed.attempts + 1,
        "retrying": True,
        "first_attempt_at": claimed.first_attempt_at or attempt.at,
        "lease_until": None,
        "lease_token": None,
        "last_error": attempt.error_class,
    }
    if decision.verdict == "retry":
        values["next_attempt_at"] = decision.next_attempt_at
    else:
        values["finished_at"] = attempt.finished_at
    kept = connection.execute(update(deliveries).where(*held).values(values)).rowcount
    outcome: Outcome = decision.verdict if kept else "late"
    if kept and claimed.target.mode == "sandbox":
        outcome = "sandbox"
    connection.execute(insert(attempts).values(_ledger(attempt, outcome)))
    _touch_endpoint(connection, attempt)
    return outcome


def _ledger(attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
    claimed = attempt.claim
    return {
        "delivery_id": claimed.delivery_id,
        "tenant": claimed.event.tenant,
        "endpoint_id": claimed.target.endpoint_id,
        "event_id": claimed.event.event_id,
        "number": claimed.attempts + 1,
        "at": attempt.at,
        "url": attempt.url,
        "status": attempt.status,
        "latency_ms": attempt.latency_ms,
        "outcome": outcome,
        "error_class": attempt.error_class,
        "response": attempt.response,
    }


def _touch_endpoint(connection: Connection, attempt: Attempt) -> None:
    own = endpoints.c.endpoint_id == attempt.claim.target.endpoint_id
    if attempt.decision.disable:
        values = {"state": "disabled", "disabled_because": "gone", "updated_at": attempt.finished_at}
        connection.execute(update(endpoints).where(own, endpoints.c.state == "active").values(values))
    elif attempt.decision.pause_until:
        connection.execute(update(endpoints).where(own).values(paused_until=attempt.decision.pause_until))


def _anything(connection: Connection, now: int, due_by: int) -> bool:
    """A look without the write lock, since an idle worker asks several times a second."""
    waiting = (deliveries.c.state == "pending") & (deliveries.c.next_attempt_at <= due_by)
    expired = (deliveries.c.state == "delivering") & (deliveries.c.lease_until <= now)
    return (
        connection.execute(select(deliveries.c.delivery_id).where(or_(waiting, expired)).limit(1)).first() is not None
    )


def _release_expired(connection: Connection, now: int) -> None:
    expired = (deliveries.c.state == "delivering") & (deliveries.c.lease_until <= now)
    freed = {"state": "pending", "lease_until": None, "lease_token": None}
    connection.execute(update(deliveries).where(expired).values(freed))


@dataclass(frozen=True)
class _Places:
    """Free places of an endpoint, and how many of them are kept for retries."""

    endpoint_id: str
    free: int
    for_retries: int


def _places(connection: Connection, want: Want, now: int) -> list[_Places]:
    """Endpoints that may be sent to, the one with the most free places first."""
    retries = func.sum(case((deliveries.c.retrying, 1), else_=0))
    busy = select(deliveries.c.endpoint_id, func.count(), retries).where(deliveries.c.state == "delivering")
    in_flight = {
        row[0]: (int(row[1]), int(row[2])) for row in connection.execute(busy.group_by(deliveries.c.endpoint_id))
    }
    query = select(endpoints.c.endpoint_id, endpoints.c.max_in_flight).where(
        endpoints.c.state == "active",
        endpoints.c.tenant.in_(want.tenants),
        or_(endpoints.c.paused_until.is_(None), endpoints.c.paused_until <= now),
    )
    found = []
    for endpoint_id, cap in connection.execute(query):
        all_busy, retries_busy = in_flight.get(endpoint_id, (0, 0))
        found.append(_Places(endpoint_id, cap - all_busy, max(0, cap // RETRY_SHARE - retries_busy)))
    return sorted(found, key=lambda places: -places.free)


def _due(
    connection: Connection, places: _Places, limit: int, due_by: int, only: Collection[str] | None
) -> list[RowMapping]:
    room = min(places.free, limit)
    if room <= 0:
        return []
    own = (deliveries.c.endpoint_id == places.endpoint_id, deliveries.c.next_attempt_at <= due_by)
    waiting = _waiting(only).where(*own).limit(room)
    first = list(connection.execute(waiting.where(deliveries.c.retrying.is_(False))).mappings())
    again = list(connection.execute(waiting.where(deliveries.c.retrying.is_(True))).mappings())
    retries = again[: max(min(places.for_retries, room), room - len(first))]
    return first[: room - len(retries)] + retries


def _waiting(only: Collection[str] | None) -> Select[Any]:
    query = (
        select(
            *(column for column in deliveries.c),
            *(endpoints.c[name] for name in TARGET_COLUMNS),
            *(events.c[name] for name in ("type", "subject", "time", "recorded_time", "sequence", "data")),
        )
        .join(endpoints, endpoints.c.endpoint_id == deliveries.c.endpoint_id)
        .join(events, (events.c.tenant == deliveries.c.tenant) & (events.c.event_id == deliveries.c.event_id))
        .where(deliveries.c.state == "pending")
        .order_by(deliveries.c.next_attempt_at)
        .with_for_update(of=deliveries, skip_locked=True)
    )
    return query if only is None else query.where(deliveries.c.delivery_id.in_(only))


def _claim(row: RowMapping, token: str) -> Claim:
    event = Event(
        row["event_id"],
        row["tenant"],
        row["type"],
        row["subject"],
        row["time"],
        row["recorded_time"],
        row["sequence"],
        row["data"],
    )
    return Claim(
        row["delivery_id"], row["purpose"], row["attempts"], row["first_attempt_at"], token, Target.of(row), event
    )
