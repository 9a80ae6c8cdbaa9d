"""Every attempt of the runs of a sync that is not in the lake's ledger yet: written before it is made, and after.

A kill leaves an attempt without an answer, and it is told so: one row an attempt, whatever happens.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

#: What is said of an attempt until its answer is known.
NO_ANSWER = "no_answer"


@dataclass(frozen=True)
class Attempt:
    """One row in one request; instants in microseconds, ``attempt`` counts those of the row in the run from 1."""

    run_id: str
    row_key: str
    attempt: int
    op: str
    payload_hash: str | None
    batch_id: str
    sent_at: int
    status: str = "rejected"
    error_code: str | None = NO_ANSWER
    error_message: str | None = None
    http_status: int | None = None
    acked_at: int | None = None

    def succeeded(self, http_status: int | None, at: int) -> Attempt:
        """The same, acknowledged."""
        return replace(self, status="succeeded", error_code=None, http_status=http_status, acked_at=at)

    def refused(self, code: str | None, message: str | None, http_status: int | None, at: int) -> Attempt:
        """The same, refused or without an answer; ``at`` counts only with one."""
        acked = at if http_status is not None else None
        return replace(self, error_code=code, error_message=message, http_status=http_status, acked_at=acked)


@dataclass(frozen=True)
class AttemptLog:
    """Attempts on disk.

    Attributes:
        file: of one sync.
    """

    file: Path

    def tell(self, attempts: Iterable[Attempt]) -> None:
        """Write attempts, flushed to disk before this returns; a later line about one replaces the earlier."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in attempts)
        with self.file.open("ab") as file:
            file.truncate(self._whole())
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Attempt]:
        """Every attempt once, as it is known last, in the order in which they began."""
        if not self.file.is_file():
            return []
        lines = self.file.read_bytes()[: self._whole()].split(b"\n")[:-1]
        told = [Attempt(**json.loads(line)) for line in lines]
        return list({(each.run_id, each.row_key, each.attempt): each for each in told}.values())

    def forget(self) -> None:
        """Remove what the ledger has."""
        self.file.unlink(missing_ok=True)

    def _whole(self) -> int:
        """Bytes up to the last whole line; a kill may have cut the one after it."""
        return self.file.read_bytes().rfind(b"\n") + 1 if self.file.is_file() else 0
