"""Receivers that answer as the platforms document it: credentials, limits, what is refused, and what a 2xx hides."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.delivery.receivers import Received, Receiver, Reply, receiver

KEYS = {"segment": "wk", "rudderstack": "wk", "mparticle": "key:secret", "tealium": "who@example.com:key"}
_BASIC = {"segment": "wk:", "rudderstack": "wk:", "mparticle": "key:secret"}


def reply(status: int, said: Any = None, **headers: str) -> Reply:
    body = b"" if said is None else json.dumps(said).encode()
    return Reply(status, {"Content-Type": "application/json", **headers}, body)


@dataclass
class Platform:
    """One of them, with what it took.

    Attributes:
        kind: of a destination.
        box: every request.
        taken: events that it took by message id, and how often.
        poison: message ids that it refuses.
        throttled: message ids that mParticle answers with 429 behind its 202, once.
        revoked: credentials are taken no longer.
        off: the source is switched off.
        before: called with the number of the request, may answer in its place.
    """

    kind: str
    box: Receiver
    taken: Counter[str] = field(default_factory=Counter)
    items: list[dict[str, Any]] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)
    throttled: set[str] = field(default_factory=set)
    revoked: bool = False
    off: bool = False
    before: Callable[[int], Reply | None] = lambda number: None
    tokens: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return self.box.url.removesuffix("/hook")

    def take(self, request: Received) -> Reply:
        with self.lock:
            self.box.received.append(request)
            found = self.before(len(self.box.received))
            if found is not None:
                return found
            if "/auth/" in request.path:
                return self._token(request)
            return self._refusal(request) or self._answer(request, json.loads(request.body))

    def _token(self, request: Received) -> Reply:
        assert request.path == "/v3/auth/accounts/acme/profiles/main"
        said = parse_qs(request.body.decode())
        if self.revoked or said != {"username": ["who@example.com"], "key": ["key"]}:
            return reply(401, {"message": "Unauthorized"})
        self.tokens.append(f"eyJ.token-{len(self.tokens)}")
        return reply(200, {"token": self.tokens[-1], "host": self.url.removeprefix("http://")})

    def _refusal(self, request: Received) -> Reply | None:
        given = request.headers.get("authorization")
        if self.kind == "tealium":
            known = bool(self.tokens) and given == f"Bearer {self.tokens[-1]}"
        else:
            known = given == "Basic " + base64.b64encode(_BASIC[self.kind].encode()).decode()
        if self.revoked or not known:
            return reply(401, {"message": "Unauthorized"})
        return reply(404, {"message": "source is disabled"}) if self.off else None

    def _answer(self, request: Received, content: Any) -> Reply:
        assert request.headers["content-type"] == "application/json"
        events, paths = _EVENTS[self.kind]
        items = events(content)
        self.sizes.append(len(items))
        ids = [paths(item) for item in items]
        if self.poison & set(ids):
            return reply(400, {"success": False, "message": "invalid event"})
        if self.kind == "rudderstack" and any(not (i.get("anonymousId") or i.get("userId")) for i in items):
            return reply(400, {"message": "request neither has anonymousId nor userId"})
        if self.kind == "tealium" and len(items) > 10:
            return reply(400, {"message": "too many events"})
        hidden = self.throttled & set(ids)
        self.throttled -= hidden
        self.taken.update(each for each in ids if each not in hidden)
        self.items += items
        if hidden:
            return reply(202, {"results": [{"status_code": 429 if each in hidden else 202} for each in ids]})
        return reply(202) if self.kind == "mparticle" else reply(200, {"success": True})


_EVENTS: dict[str, tuple[Callable[[Any], list[dict[str, Any]]], Callable[[dict[str, Any]], str]]] = {
    "segment": (lambda said: said["batch"], lambda item: item["messageId"]),
    "rudderstack": (lambda said: said["batch"], lambda item: item["messageId"]),
    "mparticle": (lambda said: said, lambda item: item["events"][0]["data"]["source_message_id"]),
    "tealium": (lambda said: said["events"], lambda item: item["flockr_event_id"]),
}


@contextmanager
def platform(kind: str) -> Iterator[Platform]:
    """A platform on a free port for the length of a test."""
    with receiver() as box:
        found = Platform(kind, box)
        box.take = found.take  # type: ignore[method-assign]
        yield found
