"""What a platform is to the rest: its limits, its requests, and what its answers mean. A module each fills this in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.delivery.cdp.track import Track

#: accepted; split: something in it is refused; refused: all of it, for what it is sent to; retry: later; pause: nothing
#: is taken until somebody acts.
Verdict = Literal["accepted", "split", "refused", "retry", "pause"]
_LATER = frozenset({408, 425, 429})
#: Statuses after which nothing more is sent, and why; what waits is kept.
_ENDS = {401: "credentials", 403: "credentials", 410: "gone"}
#: Statuses that speak of what was sent, so that a part of it may be taken.
_OF_THE_BODY = frozenset({400, 413, 422})
LIBRARY = {"name": "flockr-pipelines", "version": "0.1.0"}


@dataclass(frozen=True)
class Limits:
    """What one request may hold.

    Attributes:
        events: at most.
        event_bytes: of one event as JSON.
        request_bytes: of the whole body.
    """

    events: int
    event_bytes: int
    request_bytes: int


@dataclass(frozen=True)
class Hub:
    """One platform.

    Attributes:
        name: ``kind`` of a destination.
        limits: of a request.
        items: an event, and its trait where one is wanted, as the platform takes them.
        body: encoded items and the instant of the attempt -> bytes of the request.
        request_overhead: bytes that ``body`` adds beside items and commas.
        path: of the URL.
        headers: by the destination's secret.
        paused_by: statuses beside 401, 403 and 410 after which nothing more is sent, and why.
        tokens: the secret is not sent but a token is asked for with it, see ``tokens``.
        statuses: what a successful answer to so many events says of each; None where it says nothing.
    """

    name: str
    limits: Limits
    items: Callable[[Track, Mapping[str, str]], list[dict[str, Any]]]
    body: Callable[[Sequence[bytes], str], bytes]
    request_overhead: int
    path: str
    headers: Callable[[str], dict[str, str]]
    paused_by: Mapping[int, str] = field(default_factory=dict)
    tokens: bool = False
    statuses: Callable[[bytes, int], Sequence[int] | None] = lambda answer, number: None

    def judge(self, status: int | None) -> Verdict:
        """What an answer means for everything that was in the request; None is no answer."""
        if status is None or status >= 500 or status in _LATER:
            return "retry"
        if 200 <= status < 300:
            return "accepted"
        if self.reason(status) is not None:
            return "pause"
        return "split" if status in _OF_THE_BODY else "refused"

    def reason(self, status: int | None) -> str | None:
        """Why nothing more is sent after an answer: credentials, source_off or gone; None where more is."""
        return None if status is None else {**_ENDS, **self.paused_by}.get(status)


def encoded(item: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def basic(user: str, password: str = "") -> dict[str, str]:
    """The header of basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
