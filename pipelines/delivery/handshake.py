"""Asking a receiver whether it wants our events, as the CloudEvents webhook specification has it.

An ``OPTIONS`` request names our origin; a receiver that wants events names it back, or ``*``, and may say how many a
minute it takes. Only endpoints that were registered with a handshake are asked.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select, update

from pipelines.delivery import endpoints
from pipelines.delivery.client import Answer, open_sender
from pipelines.delivery.endpoints import AWAITS_HANDSHAKE, Endpoint
from pipelines.delivery.instants import SECOND
from pipelines.errors import MurmurError
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import endpoints as table

LOG = logging.getLogger(__name__)
ALLOWED = "allowed"
#: Requests a minute below which a receiver gets nothing.
LOWEST_RATE = 60
#: A receiver that is asked by itself is asked no more often.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Permission:
    """What a receiver said.

    Attributes:
        result: ``allowed``, or a word for why not.
        rate: requests a minute that it takes at most; None where it set no bound.
    """

    result: str
    rate: int | None = None

    @property
    def granted(self) -> bool:
        """Whether events may be sent."""
        return self.result == ALLOWED


def permission(answer: Answer, headers: Mapping[str, str], origin: str) -> Permission:
    """What an answer to the handshake means; names of headers in lower case."""
    if answer.status is None:
        return Permission(answer.error_class or "no_answer")
    if not 200 <= answer.status < 300:
        return Permission(f"status_{answer.status}")
    allowed = [name.strip() for name in headers.get("webhook-allowed-origin", "").split(",")]
    if origin not in allowed and "*" not in allowed:
        return Permission("origin_not_allowed")
    said = headers.get("webhook-allowed-rate", "").strip()
    rate = int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None
    # Rates are kept in whole attempts a second, so a lower one could not be kept.
    return Permission("rate_too_low" if rate is not None and rate < LOWEST_RATE else ALLOWED, rate)


def ask(endpoint: Endpoint, origin: str) -> Permission:
    """Make the request, by the client that sends events and with its guards.

    Args:
        endpoint: who is asked; the owner's headers are not sent.
        origin: our public host.
    """
    rate = {"WebHook-Request-Rate": str(endpoint.rate * 60)} if endpoint.rate else {}

    async def asked() -> Permission:
        async with open_sender() as sender:
            headers = {"WebHook-Request-Origin": origin, **rate}
            answer, said = await sender.options(endpoint.url, headers, allow_private=endpoint.allow_private)
            return permission(answer, said, origin)

    return asyncio.run(asked())


def shake(engine: Engine, endpoint_id: str, origin: str, now: int) -> Permission:
    """Ask an endpoint's receiver and keep what it said.

    One that waits for permission becomes active, one that withdraws a required permission is disabled; its deliveries
    are kept. A rate that the receiver names bounds the endpoint's own.

    Raises:
        UsageError: there is no such endpoint.
    """
    with reading(engine) as connection:
        endpoint = endpoints.get(connection, endpoint_id)
    # What a sandbox records leaves nobody's machine, so nobody is asked.
    found = Permission(ALLOWED) if endpoint.mode == "sandbox" else ask(endpoint, origin)
    with writing(engine) as connection:
        _keep(connection, endpoints.get(connection, endpoint_id), found, now)
    return found


def due(connection: Connection, tenant: str, now: int) -> list[str]:
    """Endpoints that wait for permission and were not asked just now, and those that were never asked."""
    asked = (table.c.handshake_at.is_(None)) | (table.c.handshake_at <= now - PATIENCE_SECONDS * SECOND)
    waits = (table.c.state == "disabled") & (table.c.disabled_because == AWAITS_HANDSHAKE) & asked
    never = (table.c.state == "active") & (table.c.handshake == "optional") & (table.c.handshake_at.is_(None))
    return list(
        connection.execute(select(table.c.endpoint_id).where(table.c.tenant == tenant, waits | never)).scalars()
    )


class Asker:
    """Asks those who are due, beside the work: a receiver that does not answer holds up nobody else's events."""

    def __init__(self, engine: Engine, origins: Mapping[str, str]) -> None:
        self._engine, self._origins = engine, origins
        self._thread: threading.Thread | None = None

    def ask_due(self, now: int, *, wait: bool) -> None:
        """Ask each endpoint that is due; in a thread of its own unless ``wait``."""
        if wait:
            self._ask(now)
        elif self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._ask, args=(now,), daemon=True)
            self._thread.start()

    def _ask(self, now: int) -> None:
        try:
            for tenant, origin in self._origins.items():
                with reading(self._engine) as connection:
                    waiting = due(connection, tenant, now)
                for endpoint_id in waiting:
                    shake(self._engine, endpoint_id, origin, now)
        except MurmurError as error:
            LOG.warning("%s", error)


def _keep(connection: Connection, endpoint: Endpoint, found: Permission, now: int) -> None:
    values: dict[str, object] = {"handshake_at": now, "handshake_result": found.result, "updated_at": now}
    if found.granted and found.rate is not None:
        allowed = found.rate // 60
        values["rate"] = min(endpoint.rate or allowed, allowed)
    connection.execute(update(table).where(table.c.endpoint_id == endpoint.endpoint_id).values(values))
    waits = endpoint.state == "disabled" and endpoint.disabled_because == AWAITS_HANDSHAKE
    if found.granted and waits:
        endpoints.set_state(connection, endpoint.endpoint_id, "active", now)
    elif not found.granted and endpoint.handshake == "required" and endpoint.state == "active":
        endpoints.set_state(connection, endpoint.endpoint_id, "disabled", now, AWAITS_HANDSHAKE)
