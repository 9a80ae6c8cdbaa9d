"""One run of a sync: what differs goes out in batches, and each row's fate is remembered before the next batch.

Clock, sleep and ids are passed in. A run may be killed anywhere: the next one goes on with what is not acknowledged.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from pipelines.delivery.instants import SECOND
from pipelines.delivery.reverse_etl.acked import Acknowledged, Outcome
from pipelines.delivery.reverse_etl.attempts import Attempt, AttemptLog
from pipelines.delivery.reverse_etl.definition import Sync
from pipelines.delivery.reverse_etl.destination import Destination, Reply, Row
from pipelines.delivery.reverse_etl.diff import REMOVED, Difference, diff
from pipelines.storage.hashing import identifier

#: A destination that asks for more patience than this is left until the next run.
PATIENCE_SECONDS = 60.0
#: Seconds before each further try of a batch within a run.
WAITS = (5.0, 20.0)
#: Seconds until a row that failed is tried again: doubled with each failure, up to six hours.
_RETRY, _LONGEST = 60, 6 * 3600

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Around:
    """What a run needs of the world.

    Attributes:
        run_id: of this run.
        clock: microseconds.
        sleep: waits for seconds.
    """

    run_id: str
    clock: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]


@dataclass
class Sending:
    """A run on its way.

    Attributes:
        stopped: why nothing more is sent: ``paused`` until somebody acts, ``later`` until the next run; else None.
    """

    sync: Sync
    memory: Acknowledged
    log: AttemptLog
    destination: Destination
    around: Around
    stopped: str | None = None
    _tries: dict[str, int] = field(default_factory=dict)

    async def send(self, desired: pl.DataFrame) -> Difference:
        """Send what differs from ``model.DESIRED``; returns what ``diff`` said."""
        known = self.memory.known()
        # What only ever was refused, and is not wanted any more, is nobody's concern.
        idle = known.filter(pl.col("acked_hash").is_null() & ~pl.col("uncertain")).join(
            desired, on="row_key", how="anti"
        )
        self.memory.tell(Outcome(row_key, gone=True) for row_key in idle["row_key"])
        found = diff(desired, known, self.sync.mode, self.around.clock(), self.sync.park_after)
        for rows in found.due().iter_slices(self.sync.batch):
            before = known.join(rows, on="row_key", how="semi").to_dicts()
            await self._batch(rows.to_dicts(), {row["row_key"]: Outcome(**row) for row in before})
            if self.stopped:
                break
        self.memory.compact()
        return found

    async def _batch(self, rows: Rows, before: Mapping[str, Outcome]) -> None:
        """Send a batch, and the halves of what is refused."""
        self.memory.tell(replace(_before(row, before), uncertain=True, gone=False) for row in rows)
        waiting = [rows]
        while waiting:
            part = waiting.pop()
            if self.stopped:
                # Nothing of it was sent: it is as it was.
                self.memory.tell(_before(row, before) for row in part)
                continue
            reply = await self._tried(part)
            if reply.verdict == "split" and len(part) > 1:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            self.stopped = {"pause": "paused", "retry": "later"}.get(reply.verdict)
            self.memory.tell(_outcomes(part, before, reply, self.around.clock()))

    async def _tried(self, rows: Rows) -> Reply:
        """The answer to a batch, asked for again where it may come with patience."""
        for wait in (*WAITS, None):
            reply = await self._attempt(rows)
            patience = None if wait is None else max(wait, reply.retry_after or 0.0)
            if reply.verdict != "retry" or patience is None or patience > PATIENCE_SECONDS:
                break
            await self.around.sleep(patience)
        return reply

    async def _attempt(self, rows: Rows) -> Reply:
        """One request, in the log before and after."""
        for row in rows:
            self._tries[row["row_key"]] = self._tries.get(row["row_key"], 0) + 1
        number = str(self._tries[rows[0]["row_key"]])
        batch_id = identifier(self.around.run_id, rows[0]["row_key"], rows[-1]["row_key"], number)
        sent = self.around.clock()
        begun = [
            Attempt(
                run_id=self.around.run_id,
                row_key=row["row_key"],
                attempt=self._tries[row["row_key"]],
                op=row["op"],
                payload_hash=None if row["op"] == REMOVED else row["payload_hash"],
                batch_id=batch_id,
                sent_at=sent,
            )
            for row in rows
        ]
        self.log.tell(begun)
        reply = await self.destination.write([_row(row) for row in rows], self.sync.mode, batch_id)
        self.log.tell(_answered(each, reply, self.around.clock()) for each in begun)
        return reply


def _answered(attempt: Attempt, reply: Reply, at: int) -> Attempt:
    code = reply.rejected.get(attempt.row_key)
    if reply.verdict == "accepted" and code is None:
        return attempt.succeeded(reply.http_status, at)
    return attempt.refused(code or reply.error_code, None if code else reply.error_message, reply.http_status, at)


def _before(row: Mapping[str, Any], before: Mapping[str, Outcome]) -> Outcome:
    return before.get(row["row_key"], Outcome(row["row_key"], gone=True))


def _row(row: Mapping[str, Any]) -> Row:
    # What is to go needs no more than its key; a model of removals has fields all the same.
    removed = row["op"] == REMOVED
    return Row(row["row_key"], row["op"], None if removed else json.loads(row["payload"]))


def _outcomes(rows: Rows, before: Mapping[str, Outcome], reply: Reply, now: int) -> Iterator[Outcome]:
    for row in rows:
        known = _before(row, before)
        if reply.verdict == "accepted" and row["row_key"] not in reply.rejected:
            yield _acknowledged(row)
        elif reply.verdict == "pause":
            yield known
        else:
            yield _failed(row, known, now, uncertain=reply.verdict == "retry" or known.uncertain)


def _acknowledged(row: Mapping[str, Any]) -> Outcome:
    """The row as the destination has it now; a model of removals remembers what went."""
    gone = row["op"] == REMOVED and row["payload_hash"] is None
    return Outcome(row["row_key"], row["payload_hash"], row["payload"], gone=gone)


def _failed(row: Mapping[str, Any], known: Outcome, now: int, *, uncertain: bool) -> Outcome:
    same = known.failed_hash == row["payload_hash"] and known.consecutive_failures > 0
    failures = known.consecutive_failures + 1 if same else 1
    wait = min(_RETRY * 2 ** min(failures - 1, 10), _LONGEST)
    return replace(
        known,
        failed_hash=row["payload_hash"],
        consecutive_failures=failures,
        next_retry_at=now + wait * SECOND,
        uncertain=uncertain,
        gone=False,
    )
