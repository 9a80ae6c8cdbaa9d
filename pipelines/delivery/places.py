"""Which endpoints may be sent to, and how many attempts each may have begun now. Reads only; taking is ``claims``'.

First attempts come before retries: retries keep a quarter of an endpoint's places, so that neither kind waits for the
other for ever, and no endpoint takes the whole of what a worker can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, ScalarSelect, bindparam, func, literal_column, or_, select

from pipelines.delivery import pace
from pipelines.storage.control.rowset import fetched
from pipelines.storage.control.tables import deliveries, endpoints

#: One place in so many of an endpoint is kept for retries.
RETRY_SHARE = 4
#: As text in the statement: only then do the databases see that the index of that state serves.
PENDING = deliveries.c.state == literal_column("'pending'")
DELIVERING = deliveries.c.state == literal_column("'delivering'")


@dataclass
class Places:
    """Free places of an endpoint that has something due.

    Attributes:
        endpoint_id: whose.
        free: attempts that may begin.
        for_retries: how many of them are kept for retries.
        firsts: whether first attempts are due.
        retries: whether retries are due.
        rate: attempts a second, if limited.
        paced_until: see ``pace``.
    """

    endpoint_id: str
    free: int
    for_retries: int
    firsts: bool
    retries: bool
    rate: int | None
    paced_until: int | None


def _of_endpoint(*conditions: object) -> ScalarSelect[int]:
    own = select(func.count()).where(deliveries.c.endpoint_id == endpoints.c.endpoint_id, *conditions)  # type: ignore[arg-type]
    return own.correlate(endpoints).scalar_subquery()


def _soonest(retrying: bool) -> ScalarSelect[int]:
    flag = deliveries.c.retrying.is_(retrying)
    own = select(deliveries.c.next_attempt_at).where(deliveries.c.endpoint_id == endpoints.c.endpoint_id, PENDING, flag)
    return own.order_by(deliveries.c.next_attempt_at).limit(1).correlate(endpoints).scalar_subquery()


_OPEN = select(
    endpoints.c.endpoint_id,
    endpoints.c.max_in_flight,
    endpoints.c.rate,
    endpoints.c.paced_until,
    endpoints.c.open_until,
    _of_endpoint(DELIVERING).label("busy"),
    _of_endpoint(DELIVERING, deliveries.c.retrying.is_(True)).label("busy_retries"),
    _soonest(retrying=False).label("first_at"),
    _soonest(retrying=True).label("retry_at"),
).where(
    endpoints.c.state == "active",
    endpoints.c.tenant.in_(bindparam("tenants", expanding=True)),
    or_(endpoints.c.paused_until.is_(None), endpoints.c.paused_until <= bindparam("now")),
    or_(endpoints.c.open_until.is_(None), endpoints.c.open_until <= bindparam("now")),
)


def open_places(connection: Connection, tenants: Sequence[str], now: int, due_by: int) -> tuple[list[Places], bool]:
    """Endpoints with something due and a free place, and whether others only wait for their rate.

    Args:
        connection: of the transaction in which the places are taken.
        tenants: whose endpoints.
        now: microseconds; neither paused nor held open by their breaker.
        due_by: what is due by this instant.
    """
    found: list[Places] = []
    paced = False
    given = {"tenants": list(tenants), "now": now}
    for endpoint_id, most, rate, paced_until, open_until, *own in fetched(connection, _OPEN, given):
        busy, busy_retries, first_at, retry_at = own
        firsts, retries = (at is not None and at <= due_by for at in (first_at, retry_at))
        # A breaker that was open sends one probe at a time.
        cap = most if open_until is None else 1
        if not (firsts or retries) or cap <= busy:
            continue
        free = pace.allowed(rate, paced_until, now, cap - busy)
        if not free:
            paced = True
            continue
        kept = max(0, cap // RETRY_SHARE - busy_retries)
        found.append(Places(endpoint_id, free, kept, firsts, retries, rate, paced_until))
    return found, paced


def shares(found: Sequence[Places], limit: int) -> list[tuple[Places, int]]:
    """How many each may begin of ``limit`` together: as evenly as their free places allow."""
    shared: list[tuple[Places, int]] = []
    left = limit
    ordered = sorted(found, key=lambda places: places.free)
    for position, places in enumerate(ordered):
        part = min(places.free, -(-left // (len(ordered) - position)))
        left -= part
        if part:
            shared.append((places, part))
    return shared
