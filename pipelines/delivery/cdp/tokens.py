"""Tokens of Tealium: fetched with user and key, used until they are nearly over, and never kept on disk or shown."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

from pipelines.delivery.client import Answer, Sender
from pipelines.delivery.retry import judge

#: They last 30 minutes; this leaves time for what is sent with one.
KEPT_SECONDS = 25 * 60
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?")
#: Answers that say that user and key are not those of the profile.
_NOT_KNOWN = frozenset({400, 401, 403, 404})


@dataclass(frozen=True)
class Token:
    """A token, the host that takes it, and the monotonic second until which it is used."""

    text: str = field(repr=False)
    host: str
    until: float


@dataclass(frozen=True)
class Asker:
    """Where tokens are asked for, and for whom.

    Attributes:
        key: of whose token; the same asker has the same token.
        url: of the profile.
        secret: ``user:key``.
        allow_private: of the endpoint.
    """

    key: str
    url: str
    secret: str = field(repr=False)
    allow_private: bool


def token_url(base: str, account: str, profile: str) -> str:
    """URL that answers with the token of a profile."""
    return f"{base}/v3/auth/accounts/{quote(account, safe='')}/profiles/{quote(profile, safe='')}"


class Tokens:
    """The tokens of one worker. Several requests that need the same one wait for it and do not ask again.

    Args:
        seconds: a clock that only goes forward.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._known: dict[str, Token] = {}
        # A lock belongs to its event loop, and each shift of a worker has one of its own.
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()

    async def of(self, sender: Sender, asker: Asker, spent: Token | None = None) -> Token | Answer:
        """A token, or the answer that stands for the request that could not be made.

        Args:
            sender: the HTTP client.
            asker: for whom.
            spent: a token that was refused, so that another is needed.
        """
        async with self._lock(asker.key):
            known = self._known.get(asker.key)
            if known is not None and known is not spent and self._seconds() < known.until:
                return known
            found = await self._fetched(sender, asker)
            if isinstance(found, Token):
                self._known[asker.key] = found
            else:
                self._known.pop(asker.key, None)
            return found

    def _lock(self, key: str) -> asyncio.Lock:
        own = self._locks.setdefault(asyncio.get_running_loop(), {})
        return own.setdefault(key, asyncio.Lock())

    async def _fetched(self, sender: Sender, asker: Asker) -> Token | Answer:
        user, _, key = asker.secret.partition(":")
        form = urlencode({"username": user, "key": key}).encode()
        until = self._seconds() + KEPT_SECONDS
        answer, body = await sender.exchange(asker.url, _FORM, form, allow_private=asker.allow_private)
        # Whatever was answered here may hold a token.
        answer = replace(answer, response=None)
        if answer.status in _NOT_KNOWN:
            return replace(answer, status=401, error_class="credentials")
        if answer.status is None or judge(answer.status, None) == "retry":
            return answer
        # No answer to this request says anything of the events, so none of them may be given up for it.
        return _token(body, until) or replace(answer, status=None, error_class="no_token")


async def posted(
    tokens: Tokens,
    sender: Sender,
    asker: Asker,
    post: Callable[[Token], Awaitable[tuple[Answer, bytes]]],
) -> tuple[Answer, bytes]:
    """Post with a token; with a new one, once, where a kept one is refused."""
    spent: Token | None = None
    while True:
        token = await tokens.of(sender, asker, spent)
        if isinstance(token, Answer):
            return token, b""
        found = await post(token)
        if found[0].status != 401 or spent is not None:
            return found
        spent = token


def _token(body: bytes, until: float) -> Token | None:
    try:
        said = json.loads(body)
        text, host = said["token"], said["host"]
    except (ValueError, KeyError, TypeError):
        return None
    sound = isinstance(text, str) and text.isascii() and text.isprintable() and isinstance(host, str)
    return Token(text, host, until) if sound and text and _HOST.fullmatch(host) else None
