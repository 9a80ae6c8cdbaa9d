"""The HTTP client: one POST with a true deadline, no redirects, cookies, proxies or decompression.

Every address is checked at the socket. What an answer means is decided in ``retry``.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
from yarl import URL

from pipelines.delivery.guard import BLOCKED, check_url, public_socket
from pipelines.delivery.redaction import excerpt
from pipelines.delivery.resolver import ThreadResolver
from pipelines.errors import UsageError
from schemas.events import CONTENT_TYPE

TOTAL_SECONDS = 10.0
#: An answer counts from its headers on; its body only serves the ledger and the reuse of the connection.
BODY_SECONDS = 2.0
READ_CAP = 64 * 1024
#: Bodies that are not longer and came with their headers are taken as they are, without waiting.
SHORT_BODY = 4096


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
        return (await self.exchange(url, headers, body, allow_private=allow_private))[0]

    async def exchange(
        self, url: str, headers: Mapping[str, str], body: bytes, *, allow_private: bool
    ) -> tuple[Answer, bytes]:
        """``post``, and what was answered as it came, at most 64 KiB: it may hold secrets and is never kept."""
        target = _checked(url, allow_private)
        if target is None:
            return Answer(None, "blocked_url", 0), b""
        session = self._anywhere if allow_private else self._public
        started = time.perf_counter()
        try:
            async with session.post(target, data=body, headers=headers, allow_redirects=False) as response:
                latency = _since(started)
                received = await _read(response)
                after = response.headers.get("Retry-After")
                return Answer(response.status, None, latency, after, _kept(received)), received
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, error_class(error), _since(started)), b""

    async def options(
        self, url: str, headers: Mapping[str, str], *, allow_private: bool
    ) -> tuple[Answer, dict[str, str]]:
        """Ask with OPTIONS: the answer, and its headers by lower-case name; every failure becomes an answer."""
        target = _checked(url, allow_private)
        if target is None:
            return Answer(None, "blocked_url", 0), {}
        session = self._anywhere if allow_private else self._public
        started = time.perf_counter()
        try:
            async with session.options(target, headers=headers, allow_redirects=False) as response:
                said = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, None, _since(started)), said
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, error_class(error), _since(started)), {}


@lru_cache(maxsize=4096)
def _checked(url: str, allow_private: bool) -> URL | None:
    """The URL as it is sent to; None where it is never sent to."""
    try:
        check_url(url, allow_private=allow_private)
        return URL(url)
    except (UsageError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _excerpt(received: bytes) -> str:
    return excerpt(received)


def _kept(received: bytes) -> str:
    """What the ledger keeps; most receivers give one short answer again and again."""
    return _excerpt(received) if len(received) <= SHORT_BODY else excerpt(received)


@asynccontextmanager
async def open_sender(total_seconds: float = TOTAL_SECONDS) -> AsyncIterator[Sender]:
    """A sender whose connections are closed on leaving."""
    # Read now and not at import, so that SSL_CERT_FILE names the authorities of the process that sends.
    trust = ssl.create_default_context()
    # The worker bounds what is in flight; a bound here would let one endpoint's requests wait for another's.
    common: dict[str, Any] = {"limit": 0, "ssl": trust}
    public = aiohttp.TCPConnector(socket_factory=public_socket, resolver=ThreadResolver(), **common)
    anywhere = aiohttp.TCPConnector(resolver=ThreadResolver(), **common)
    async with _session(public, total_seconds) as strict, _session(anywhere, total_seconds) as free:
        yield Sender(strict, free)


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
    content = response.content
    length = response.content_length
    if length is not None and length <= SHORT_BODY and content.is_eof():
        return content.read_nowait()
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in content.iter_chunked(8192):
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
