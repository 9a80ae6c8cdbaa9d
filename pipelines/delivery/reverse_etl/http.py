"""A destination that takes rows over HTTP: one POST a batch, as JSON, with an idempotency key.

The body is ``{"mode": ..., "rows": [{"key": [...], "op": ..., "fields": {...}}]}``. 2xx is success; an answer may name
rows that it refused: ``{"rejected": [{"key": [...], "code": "..."}]}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.delivery.client import Answer, Sender
from pipelines.delivery.instants import SECOND
from pipelines.delivery.retry import PERMANENT_ERRORS, RETRIED_STATUS, retry_after_micros
from pipelines.delivery.reverse_etl.definition import Mode
from pipelines.delivery.reverse_etl.destination import Reply, Row

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_FORBIDDEN = frozenset({401, 403, 404, 410})


@dataclass(frozen=True)
class HttpDestination:
    """Where to post.

    Attributes:
        sender: opened by the caller.
        url: of the receiver.
        token: sent as a bearer token, where there is one.
        allow_private: http and private addresses are allowed.
    """

    sender: Sender
    url: str
    token: str | None = None
    allow_private: bool = False

    async def write(self, rows: Sequence[Row], mode: Mode, batch_id: str) -> Reply:
        """Post a batch."""
        listed = [
            {"key": json.loads(row.row_key), "op": row.op, **({} if row.fields is None else {"fields": row.fields})}
            for row in rows
        ]
        body = json.dumps({"mode": mode, "rows": listed}, separators=(",", ":"), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": batch_id}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        answer = await self.sender.post(self.url, headers, body, allow_private=self.allow_private)
        return reply(answer)


def reply(answer: Answer) -> Reply:
    """What an answer means for a batch."""
    status, said = answer.status, answer.error_class
    if status is None:
        return Reply("pause" if said in PERMANENT_ERRORS else "retry", said, "no answer")
    if 200 <= status < 300:
        return Reply("accepted", http_status=status, rejected=_rejected(answer.response))
    code = f"status_{status}"
    if status >= 500 or status in RETRIED_STATUS:
        asked = retry_after_micros(answer.retry_after, 0)
        seconds = None if asked is None else asked / SECOND
        return Reply("retry", code, "it asked to be left alone for now", status, seconds)
    if status in _FORBIDDEN:
        return Reply("pause", code, "it takes nothing; check URL and token, then run the sync again", status)
    return Reply("split", code, "it refused the row", status)


def _code(said: object) -> str:
    """A word that the receiver chose; anything longer may quote the row, and is not kept."""
    return said if isinstance(said, str) and _WORD.fullmatch(said) else "rejected"


def _rejected(response: str | None) -> dict[str, str]:
    """Rows that a success left out; an answer that is no such object left out none."""
    try:
        listed = json.loads(response or "{}")["rejected"]
        return {
            json.dumps(each["key"], separators=(",", ":"), ensure_ascii=False): _code(each.get("code"))
            for each in listed
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
