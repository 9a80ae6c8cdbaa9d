"""How delivery stands, for the metrics and the page of deliveries: states, what is oldest, who fails. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, func, literal_column, select

from pipelines.delivery.instants import SECOND, rfc3339
from pipelines.delivery.places import DELIVERING, PENDING
from pipelines.storage.control.tables import attempts, deliveries, endpoints

FAILURES_SECONDS = 24 * 3600
_DEAD = deliveries.c.state == literal_column("'dead'")


@dataclass(frozen=True)
class Overview:
    """One tenant's deliveries at an instant.

    Attributes:
        waiting: pending deliveries that are due later.
        due: pending deliveries that are due.
        delivering: in flight.
        dead: dead letters within the retention of the ledger.
        oldest_due_seconds: for how long the oldest due delivery of an active endpoint has waited; 0 without one.
        endpoints: number of endpoints by state; ``failing`` are active ones that are asked by probes alone.
    """

    waiting: int
    due: int
    delivering: int
    dead: int
    oldest_due_seconds: float
    endpoints: dict[str, int]

    def states(self) -> dict[str, int]:
        """Deliveries by state."""
        return {"waiting": self.waiting, "due": self.due, "delivering": self.delivering, "dead": self.dead}


def overview(connection: Connection, tenant: str, now: int) -> Overview:
    """How the deliveries of a tenant stand; only those that have not ended well are read."""
    own = deliveries.c.tenant == tenant

    def count(*conditions: Any) -> int:
        return int(
            connection.execute(select(func.count()).select_from(deliveries).where(own, *conditions)).scalar_one()
        )

    pending, due = count(PENDING), count(PENDING, deliveries.c.next_attempt_at <= now)
    active = select(endpoints.c.endpoint_id).where(endpoints.c.tenant == tenant, endpoints.c.state == "active")
    oldest = select(func.min(deliveries.c.next_attempt_at)).where(own, PENDING, deliveries.c.endpoint_id.in_(active))
    since = connection.execute(oldest).scalar()
    return Overview(
        pending - due,
        due,
        count(DELIVERING),
        count(_DEAD),
        max(0, now - since) / SECOND if since is not None else 0.0,
        _endpoints(connection, tenant),
    )


def failures(connection: Connection, tenant: str, now: int, limit: int = 20) -> list[dict[str, Any]]:
    """Endpoints whose attempts failed within a day, the most failures first.

    Returns:
        ``endpoint_id``, ``host``, ``state``, ``failed`` and ``dead`` attempts, ``last_error``, ``last_at``,
        ``in_a_row`` and ``open_until``.
    """
    failed = (attempts.c.tenant == tenant, attempts.c.at >= now - FAILURES_SECONDS * SECOND)
    bad = attempts.c.outcome.in_(("retry", "dead"))
    newest = select(attempts.c.endpoint_id, func.max(attempts.c.attempt_id).label("attempt_id"))
    last = newest.where(*failed, bad).group_by(attempts.c.endpoint_id).subquery()
    counted = (
        select(
            attempts.c.endpoint_id,
            func.count().label("failed"),
            func.count().filter(attempts.c.outcome == "dead").label("dead"),
        )
        .where(*failed, bad)
        .group_by(attempts.c.endpoint_id)
        .subquery()
    )
    query = (
        select(endpoints, counted.c.failed, counted.c.dead, attempts.c.error_class, attempts.c.at)
        .join(counted, counted.c.endpoint_id == endpoints.c.endpoint_id)
        .join(last, last.c.endpoint_id == endpoints.c.endpoint_id)
        .join(attempts, attempts.c.attempt_id == last.c.attempt_id)
        .order_by(counted.c.failed.desc(), endpoints.c.endpoint_id)
        .limit(limit)
    )
    return [
        {
            "endpoint_id": row["endpoint_id"],
            "host": urlsplit(row["url"]).hostname or "",
            "state": row["state"],
            "failed": row["failed"],
            "dead": row["dead"],
            "last_error": row["error_class"],
            "last_at": rfc3339(row["at"]),
            "in_a_row": row["failures"],
            "open_until": rfc3339(row["open_until"]) if row["open_until"] else None,
        }
        for row in connection.execute(query).mappings()
    ]


def _endpoints(connection: Connection, tenant: str) -> dict[str, int]:
    found = dict.fromkeys(("active", "failing", "disabled", "suspended"), 0)
    query = select(endpoints.c.state, endpoints.c.open_until).where(endpoints.c.tenant == tenant)
    for state, open_until in connection.execute(query.where(endpoints.c.state != "deleted")):
        shown = "failing" if state == "active" and open_until else state
        found[shown] = found.get(shown, 0) + 1
    return found
