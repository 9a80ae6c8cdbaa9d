"""The HTTP client: one POST with a true deadline, no redirects, cookies, proxies or decompression.

Every address is checked at the socket. What an answer means is decided in ``retry``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from pipelines.delivery.guard import BLOCKED, check_url, public_socket
from pipelines.delivery.redaction import excerpt
from pipelines.errors import UsageError
from schemas.events import CONTENT_TYPE

TOTAL_SECONDS = 10.0
#: An answer counts from its headers on; its body only serves the ledger and the reuse of the connection.
BODY_SECONDS = 2.0
READ_CAP = 64 * 1024
CONNECTIONS = 256


@dataclass(frozen=True)
class Answer:
    """What came back from one attempt.

    Attributes:
        status: HTTP status; None when there was no answer.
        error_class: timeout, dns, tls, connect, disconnected, protocol, blocked_address, blocked_url; else None.
        latency_ms: until the headers, or until the failure.
        retry_after: the header as received.
        response: at most 1 KiB, redacted.
    """

    status: int | None
    error_class: str | None
    latency_ms: int
    retry_after: str | None = None
    response: str | None = None


class Sender:
    """Two pools of connections: one that reaches public addresses alone, one that reaches any."""

    def __init__(self, public: aiohttp.ClientSession, anywhere: aiohttp.ClientSession) -> None:
        self._public = public
        self._anywhere = anywhere

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, allow_private: bool) -> Answer:
        """Send one request; every failure becomes an answer, none is raised."""
        try:
            check_url(url, allow_private=allow_private)
        except UsageError:
            return Answer(None, "blocked_url", 0)
        session = self._anywhere if allow_private else self._public
        started = time.perf_counter()
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                latency = _since(started)
                received = await _read(response)
                after = response.headers.get("Retry-After")
                return Answer(response.status, None, latency, after, excerpt(received))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, error_class(error), _since(started))


@asynccontextmanager
async def open_sender(total_seconds: float = TOTAL_SECONDS) -> AsyncIterator[Sender]:
    """A sender whose connections are closed on leaving."""
    async with (
        _session(aiohttp.TCPConnector(socket_factory=public_socket, limit=CONNECTIONS), total_seconds) as public,
        _session(aiohttp.TCPConnector(limit=CONNECTIONS), total_seconds) as anywhere,
    ):
        yield Sender(public, anywhere)


def error_class(error: BaseException) -> str:
    """A stable word for a failure, without anything of the request or the address."""
    classes: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
        (TimeoutError, "timeout"),
        (aiohttp.ClientConnectorDNSError, "dns"),
        ((aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch), "tls"),
        (aiohttp.ClientConnectorError, "connect"),
        (aiohttp.ClientResponseError, "protocol"),
        ((aiohttp.ClientConnectionError, ConnectionError), "disconnected"),
        (OSError, "connect"),
    )
    if BLOCKED in str(error):
        return "blocked_address"
    return next((name for kinds, name in classes if isinstance(error, kinds)), "protocol")


def _session(connector: aiohttp.TCPConnector, total_seconds: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=total_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"Content-Type": CONTENT_TYPE, "User-Agent": "murmuration-webhooks/1", "Accept-Encoding": "identity"},
    )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in response.content.iter_chunked(8192):
                received += chunk[: READ_CAP - len(received)]
                if len(received) >= READ_CAP:
                    # What is left is not read, so the connection cannot be used again.
                    response.close()
                    break
    except (aiohttp.ClientError, OSError, TimeoutError):
        response.close()
    return bytes(received)


def _since(started: float) -> int:
    return int((time.perf_counter() - started) * 1000)
