"""What every destination of a sync offers: it takes a batch of rows and says what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pipelines.delivery.reverse_etl.definition import Mode

#: accepted; split: something in it is refused; retry: later; pause: nothing is taken until somebody acts.
Verdict = Literal["accepted", "split", "retry", "pause"]


@dataclass(frozen=True)
class Row:
    """One row to write.

    Attributes:
        row_key: canonical JSON list of the key's values.
        op: added, changed or removed.
        fields: by name; None for a removal.
    """

    row_key: str
    op: str
    fields: Mapping[str, Any] | None


@dataclass(frozen=True)
class Reply:
    """What a destination said of a batch.

    Attributes:
        verdict: for all of it.
        error_code: a stable word; None for success.
        error_message: redacted, for people.
        http_status: where it speaks HTTP.
        retry_after: seconds that it asked for.
        rejected: rows that it refused while it took the others: ``row_key`` -> code.
    """

    verdict: Verdict
    error_code: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    retry_after: float | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)


class Destination(Protocol):
    """Somewhere that rows go."""

    async def write(self, rows: Sequence[Row], mode: Mode, batch_id: str) -> Reply:
        """Write a batch; the same batch again changes nothing more. Never raises for what the other side does."""
