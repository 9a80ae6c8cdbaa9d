"""A destination in memory that fails as it is told to, and processes that end in the middle of things."""

from __future__ import annotations

import polars as pl

from pipelines.delivery.reverse_etl.definition import Sync
from pipelines.delivery.reverse_etl.destination import Reply
from pipelines.delivery.reverse_etl.model import DESIRED
from pipelines.delivery.reverse_etl.run import Around

ACCEPTED = Reply("accepted", http_status=200)


class KilledError(BaseException):
    """Stands for kill -9: nothing that follows in the process is done."""


class Remote:
    """Rows by key; ``answer`` decides, given the rows, and may raise ``KilledError`` before or after they arrive."""

    def __init__(self, answer=lambda rows: ACCEPTED):
        self.rows, self.answer, self.batches = {}, answer, []

    async def write(self, rows, mode, batch_id):
        self.batches.append((batch_id, [row.row_key for row in rows]))
        reply = self.answer(rows)
        if reply.verdict == "accepted":
            for row in rows:
                if row.row_key not in reply.rejected:
                    self._apply(row)
        return reply

    def _apply(self, row):
        if row.op == "removed":
            self.rows.pop(row.row_key, None)
        else:
            self.rows[row.row_key] = row.fields["v"]


def around(run_id="run", start=0):
    """A clock that goes on a second each time it is read, and sleeps that are kept."""
    slept = []
    ticks = iter(range(start, start + 10**9))

    async def sleep(seconds):
        slept.append(seconds)

    return Around(run_id, lambda: next(ticks) * 1_000_000, sleep), slept


def sync(**changes):
    given = {"model": {"sql": "SELECT 1"}, "key": "k", "mapping": {"v": "v"}, "destination": "there", "mode": "mirror"}
    return Sync(**{**given, **changes})


def desired(rows):
    listed = [(f'["{key}"]', f'{{"v":"{value}"}}') for key, value in sorted(rows.items())]
    return pl.DataFrame(listed, schema=DESIRED, orient="row")


def shown(rows):
    return {f'["{key}"]': value for key, value in rows.items()}
