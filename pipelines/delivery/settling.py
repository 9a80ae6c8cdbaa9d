"""What came of attempts: the state of the delivery, the ledger, and what it says of the endpoint. SQL only.

Many attempts are settled in one transaction. One whose lease was lost changes no delivery; it is in the ledger as late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Insert, RowMapping, Select, Update, func, insert, select, update

from pipelines.delivery import breaker, endpoints
from pipelines.delivery.breaker import Health
from pipelines.delivery.claims import ALONE, Claim
from pipelines.delivery.operator import is_operator_type, operator_event, tell_operator
from pipelines.delivery.places import DELIVERING, PENDING
from pipelines.delivery.retry import PERMANENT_ERRORS, Decision, judge
from pipelines.delivery.subscriptions import matches
from pipelines.storage.control import writing
from pipelines.storage.control.rowset import packed, rowset
from pipelines.storage.control.tables import attempts, deliveries
from pipelines.storage.control.tables import endpoints as endpoint_table

Outcome = Literal["delivered", "retry", "dead", "sandbox", "late"]

_LEDGER = {
    **dict.fromkeys(("delivery_id", "tenant", "endpoint_id", "event_id"), "text"),
    **dict.fromkeys(("number", "at"), "int"),
    "url": "text",
    **dict.fromkeys(("status", "latency_ms"), "int"),
    **dict.fromkeys(("outcome", "error_class", "response"), "text"),
}
#: What a batch brings to the database: the rows of the ledger, and what changes in the deliveries.
_RESULT = {**_LEDGER, "token": "text", "state": "text", "next_attempt_at": "int", "finished_at": "int"}
_HEALTH = ("failures", "failing_since", "open_until")


@dataclass(slots=True)
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


def settle(engine: Engine, done: Sequence[Attempt]) -> list[Outcome]:
    """Record attempts and their consequences in one transaction, in order; ``late`` where the lease was lost."""
    with writing(engine, alone=ALONE) as connection:
        return record(connection, done)


def record(connection: Connection, done: Sequence[Attempt]) -> list[Outcome]:
    """``settle`` in a transaction of the caller, who does this ``ALONE``."""
    if not done:
        return []
    rows = [_result_row(attempt) for attempt in done]
    results = {"results": packed(rows)}
    late = _settled(connection, done, results)
    outcomes: list[Outcome] = [row["outcome"] for row in rows]
    if late:
        outcomes = [
            "late" if _held(attempt) in late else row["outcome"] for attempt, row in zip(done, rows, strict=True)
        ]
        results = {"results": packed([{**row, "outcome": said} for row, said in zip(rows, outcomes, strict=True)])}
    connection.execute(_ledger_statement(connection.dialect.name), results)
    touched = _touch_endpoints(connection, done)
    _tell_exhausted(connection, touched, done, outcomes)
    return outcomes


@lru_cache(maxsize=2)
def _ledger_statement(dialect: str) -> Insert:
    given = rowset(dialect, "results", _RESULT)
    return insert(attempts).from_select(list(_LEDGER), select(*(given.c[name] for name in _LEDGER)))


@lru_cache(maxsize=2)
def _settle_statement(dialect: str) -> Update:
    given = rowset(dialect, "results", _RESULT)
    values = {
        "state": given.c.state,
        "attempts": deliveries.c.attempts + 1,
        "retrying": True,
        "first_attempt_at": func.coalesce(deliveries.c.first_attempt_at, given.c.at),
        "next_attempt_at": func.coalesce(given.c.next_attempt_at, deliveries.c.next_attempt_at),
        "finished_at": given.c.finished_at,
        "lease_until": None,
        "last_error": given.c.error_class,
    }
    same = (deliveries.c.delivery_id == given.c.delivery_id, deliveries.c.lease_token == given.c.token)
    return update(deliveries).where(*same, DELIVERING).values(values)


def _settled(connection: Connection, done: Sequence[Attempt], results: dict[str, str]) -> set[tuple[str, str]]:
    """Update the deliveries whose lease still holds; the late ones, by id and token.

    The token stays, so that what was settled is told from what somebody else holds; without a late one, which is the
    rule, nobody has to look.
    """
    dialect = connection.dialect.name
    if connection.execute(_settle_statement(dialect), results).rowcount == len(done):
        return set()
    given = rowset(dialect, "results", _RESULT)
    same = (deliveries.c.delivery_id == given.c.delivery_id) & (deliveries.c.lease_token == given.c.token)
    ended = deliveries.c.state.in_(("pending", "delivered", "dead"))
    query = select(deliveries.c.delivery_id, deliveries.c.lease_token).join(given, same).where(ended)
    kept = {(row[0], row[1]) for row in connection.execute(query, results)}
    return {_held(attempt) for attempt in done} - kept


def _held(attempt: Attempt) -> tuple[str, str]:
    return attempt.claim.delivery_id, attempt.claim.token


def _result_row(attempt: Attempt) -> dict[str, Any]:
    claimed, verdict = attempt.claim, attempt.decision.verdict
    again = verdict == "retry"
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
        "outcome": "sandbox" if claimed.target.mode == "sandbox" else verdict,
        "error_class": attempt.error_class,
        "response": attempt.response,
        "token": claimed.token,
        "state": "pending" if again else verdict,
        "next_attempt_at": attempt.decision.next_attempt_at,
        "finished_at": None if again else attempt.finished_at,
    }


def _touch_endpoints(connection: Connection, done: Sequence[Attempt]) -> dict[str, RowMapping]:
    """Bring health, pause and state of the endpoints up to date; their rows as they were before."""
    by_endpoint: dict[str, list[Attempt]] = {}
    for attempt in done:
        by_endpoint.setdefault(attempt.claim.target.endpoint_id, []).append(attempt)
    ids = packed([{"endpoint_id": each} for each in by_endpoint])
    found = {
        row["endpoint_id"]: row
        for row in connection.execute(_health_query(connection.dialect.name), {"ids": ids}).mappings()
    }
    for endpoint_id, made in by_endpoint.items():
        if endpoint_id in found:
            _touch(connection, found[endpoint_id], made)
    return found


@lru_cache(maxsize=2)
def _health_query(dialect: str) -> Select[Any]:
    own = rowset(dialect, "ids", {"endpoint_id": "text"})
    columns = (
        endpoint_table.c[name]
        for name in ("endpoint_id", "tenant", "mode", "state", "paused_until", "secret", *_HEALTH)
    )
    return select(*columns).join(own, own.c.endpoint_id == endpoint_table.c.endpoint_id)


def _touch(connection: Connection, row: RowMapping, made: Sequence[Attempt]) -> None:
    if not row["failures"] and all(attempt.decision.verdict == "delivered" for attempt in made):
        return
    before = health = Health(*(row[name] for name in _HEALTH))
    recovered: Health | None = None
    # The deliveries of a batch share one request, which counts once.
    asked = dict.fromkeys((attempt.status, attempt.error_class, attempt.at, attempt.finished_at) for attempt in made)
    for answer in asked if row["mode"] == "live" else ():
        found = breaker.after(health, *answer)
        if health.open_until is not None and found.open_until is None:
            recovered = health
        health = found
    values: dict[str, Any] = {}
    if health != before:
        values = {name: getattr(health, name) for name in _HEALTH}
    pause = max((attempt.decision.pause_until or 0 for attempt in made), default=0)
    if pause > (row["paused_until"] or 0):
        values["paused_until"] = pause
    gone = next((attempt for attempt in made if attempt.decision.disable), None)
    if gone is not None and row["state"] == "active" and not _outdated(row, gone):
        values |= {"state": "disabled", "disabled_because": gone.decision.because, "updated_at": gone.finished_at}
        _tell_disabled(connection, row, gone)
    if values:
        connection.execute(
            update(endpoint_table).where(endpoint_table.c.endpoint_id == row["endpoint_id"]).values(values)
        )
    if recovered is not None:
        facts = {"failing_since": recovered.failing_since, "failures": recovered.failures}
        _tell(connection, row, "endpoint.recovered", made[-1].finished_at, facts)


def _outdated(row: RowMapping, gone: Attempt) -> bool:
    """Whether it was a credential that was refused which the endpoint has no longer."""
    return gone.decision.because == "credentials" and gone.claim.target.secret != row["secret"]


def _tell_disabled(connection: Connection, row: RowMapping, gone: Attempt) -> None:
    facts = {"reason": gone.decision.because, "last_status": gone.status, "last_error": gone.error_class}
    _tell(connection, row, "endpoint.disabled", gone.finished_at, facts)


def _tell(
    connection: Connection, row: RowMapping, kind: str, at: int, facts: Mapping[str, Any], about: str = ""
) -> None:
    waiting = select(func.count()).where(deliveries.c.endpoint_id == row["endpoint_id"], PENDING)
    if kind != "delivery.exhausted":
        facts = {**facts, "waiting": connection.execute(waiting).scalar_one()}
    endpoint = endpoints.get(connection, row["endpoint_id"])
    tell_operator(connection, operator_event(kind, endpoint, at, facts, about=about), at)


def _tell_exhausted(
    connection: Connection, rows: Mapping[str, RowMapping], done: Sequence[Attempt], outcomes: Sequence[Outcome]
) -> None:
    """Tell of dead letters, but of none whose event is about delivery itself or was a test."""
    if "dead" not in outcomes or not _somebody_asks(connection, {row["tenant"] for row in rows.values()}):
        return
    for attempt, outcome in zip(done, outcomes, strict=True):
        claimed = attempt.claim
        row = rows.get(claimed.target.endpoint_id)
        if outcome != "dead" or row is None or claimed.purpose == "test" or is_operator_type(claimed.event.type):
            continue
        facts = {
            "delivery_id": claimed.delivery_id,
            "event_id": claimed.event.event_id,
            "event_type": claimed.event.type,
            "reason": _reason(attempt),
            "attempts": claimed.attempts + 1,
            "first_attempt_at": claimed.first_attempt_at or attempt.at,
            "last_status": attempt.status,
            "last_error": attempt.error_class,
        }
        _tell(connection, row, "delivery.exhausted", attempt.finished_at, facts, about=claimed.delivery_id)


def _somebody_asks(connection: Connection, tenants: set[str]) -> bool:
    """Whether an endpoint is told of dead letters: there may be many, and each would be looked at for it."""
    return any(
        matches(endpoint.event_types, {}, "delivery.exhausted", {})
        for tenant in tenants
        for endpoint in endpoints.listed(connection, tenant)
    )


def _reason(attempt: Attempt) -> str:
    if attempt.error_class in PERMANENT_ERRORS:
        return "unsendable"
    return "refused" if judge(attempt.status, attempt.error_class) == "dead" else "deadline"
