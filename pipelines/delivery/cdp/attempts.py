"""Claims of a platform's endpoint sent as its batches; what was answered is told of each claim. No SQL here.

What follows from an answer, and when it is tried again, is ``attempting``'s.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pipelines.delivery.cdp.batches import Prepared, batches, prepared
from pipelines.delivery.cdp.hub import Hub
from pipelines.delivery.cdp.hubs import HUBS
from pipelines.delivery.cdp.send import Post, Said, Sent, send
from pipelines.delivery.cdp.tokens import Asker, Token, Tokens, posted, token_url
from pipelines.delivery.cdp.track import Track, tracked
from pipelines.delivery.claims import Claim
from pipelines.delivery.client import Answer, Sender
from pipelines.delivery.instants import rfc3339
from pipelines.delivery.target import Target, opened
from pipelines.storage.control.cipher import Cipher

#: What a platform is told when somebody tests its endpoint; nobody is called so.
TESTED, NOBODY = "Flockr Endpoint Tested", "flockr:test"
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Told:
    """What was answered to one claim.

    Attributes:
        answer: of the last request that it was in.
        again: that request was refused for another event, and this one was not sent once more: it is due at once.
        ended: why nothing is sent to the endpoint any more, see ``Hub.reason``; None where more is.
    """

    answer: Answer
    again: bool = False
    ended: str | None = None


@dataclass
class Courier:
    """Who sends the batches of one endpoint, and for how long.

    Attributes:
        sender: the HTTP client.
        cipher: opens the secrets.
        tokens: of the platforms that want one.
        now: microseconds since the epoch.
        until: monotonic second after which no request begins, since the lease might end before its answer.
    """

    sender: Sender
    cipher: Cipher
    tokens: Tokens
    now: Callable[[], int]
    until: float
    answers: dict[str, Answer] = field(default_factory=dict)

    async def tell(self, items: Sequence[Claim]) -> dict[str, Told]:
        """Send claims of one endpoint, in the order of their events.

        Returns:
            What was answered, by event; nothing of those that were in no request because time was up or the platform
            took nothing any more.

        Raises:
            MurmurError: the secret does not open.
        """
        target = items[0].target
        hub, settings = HUBS[target.manner.format], settings_of(target)
        ordered = sorted(items, key=lambda item: item.event.sequence)
        tracks = [_track(item, settings["names"]) for item in ordered]
        known = [track for track in tracks if track is not None]
        ready, refused = prepared(hub, known, settings)
        unknown = {item.event.event_id for item in ordered} - {track.message_id for track in known}
        told = {key: Told(Answer(None, why, 0)) for key, why in refused.items()}
        told |= {key: Told(Answer(None, "invalid_event", 0)) for key in unknown}
        secret = opened(self.cipher, target.secret, target.endpoint_id)
        for batch in batches(hub, ready):
            sent = await send(hub, batch, self._post(hub, target, settings, secret), self._sent_at)
            told |= self._told(hub, sent)
            if sent.paused is not None or sent.left:
                break
        return told

    def _sent_at(self) -> str:
        return rfc3339(self.now())

    def _told(self, hub: Hub, sent: Sent) -> dict[str, Told]:
        told = {key: Told(self.answers[key]) for key in sent.accepted}
        for key, status in {**sent.refused, **sent.later}.items():
            # Behind a success there may be refusals of some of its events.
            told[key] = Told(replace(self.answers[key], status=status), ended=hub.reason(status))
        return told | {key: Told(self.answers[key], again=True) for key in sent.left if key in self.answers}

    def _post(self, hub: Hub, target: Target, settings: Mapping[str, Any], secret: str) -> Post:
        async def post(events: Sequence[Prepared], body: bytes) -> Said | None:
            if time.monotonic() > self.until:
                return None
            answer, received = await self._exchange(hub, target, settings, secret, body)
            self.answers.update((event.message_id, answer) for event in events)
            return Said(answer.status, received)

        return post

    async def _exchange(
        self, hub: Hub, target: Target, settings: Mapping[str, Any], secret: str, body: bytes
    ) -> tuple[Answer, bytes]:
        free = target.allow_private

        async def with_token(token: Token) -> tuple[Answer, bytes]:
            parts = urlsplit(target.url)
            url = f"{parts.scheme}://{token.host}{parts.path}"
            return await self.sender.exchange(url, {**_JSON, **hub.headers(token.text)}, body, allow_private=free)

        if not hub.tokens:
            return await self.sender.exchange(target.url, {**_JSON, **hub.headers(secret)}, body, allow_private=free)
        base = target.url.removesuffix(hub.path)
        url = token_url(base, settings["account"], settings["profile"])
        asker = Asker(f"{target.endpoint_id} {target.secret} {url}", url, secret, free)
        return await posted(self.tokens, self.sender, asker, with_token)


def settings_of(target: Target) -> Mapping[str, Any]:
    """What the endpoint's owner asked for: ``traits``, ``environment``, ``account`` and others, and ``names``."""
    return _settings(target.settings)


@lru_cache(maxsize=1024)
def _settings(text: str) -> Mapping[str, Any]:
    return MappingProxyType({"names": {}, **json.loads(text)})


def _track(item: Claim, names: Mapping[str, str]) -> Track | None:
    """An event as the platform is told of it; None where it cannot be told."""
    event = item.event
    if item.purpose == "test":
        return Track(event.event_id, TESTED, NOBODY, None, event.time, {})
    try:
        return tracked(event, names)
    except (ValueError, KeyError, ArithmeticError):
        return None
