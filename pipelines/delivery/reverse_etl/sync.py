"""A sync from its file to its ledgers: what ``murmur sync`` and the scheduled job run."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pipelines.config import Tenant
from pipelines.delivery.client import open_sender
from pipelines.delivery.reverse_etl.acked import Acknowledged
from pipelines.delivery.reverse_etl.attempts import Attempt, AttemptLog
from pipelines.delivery.reverse_etl.definition import Sync, load_sync
from pipelines.delivery.reverse_etl.diff import ADDED, CHANGED, PARKED, REMOVED, Difference, diff
from pipelines.delivery.reverse_etl.http import HttpDestination
from pipelines.delivery.reverse_etl.ledger import Ended, publish, standing
from pipelines.delivery.reverse_etl.model import InvalidKeysError, desired_rows
from pipelines.delivery.reverse_etl.places import Opened, open_place
from pipelines.delivery.reverse_etl.run import Around, Sending
from pipelines.errors import MurmurError, UsageError
from pipelines.storage.hashing import identifier


@dataclass(frozen=True)
class Asked:
    """Who asks for a run, and the world that it runs in.

    Attributes:
        run_id: of the run.
        trigger: manual, schedule or partition.
        clock: microseconds.
        environment: with the secrets that destinations name.
        development: http and private addresses are allowed.
    """

    run_id: str
    trigger: str
    clock: Callable[[], int]
    environment: Mapping[str, str]
    development: bool = False


def folder(tenant: Tenant, sync_id: str) -> Path:
    """What is remembered of a sync: not rebuildable, since only the destination could say it again."""
    return tenant.home / "syncs" / tenant.id / sync_id


def compare(tenant: Tenant, sync_id: str, now: int) -> Difference:
    """What a run would send now.

    Raises:
        UsageError: the sync is not there, wrong, or has invalid keys.
    """
    sync = load_sync(tenant, sync_id)
    known = Acknowledged(folder(tenant, sync_id) / "memory").known()
    return diff(_wanted(tenant, sync_id, sync), known, sync.mode, now, sync.park_after)


def run_sync(tenant: Tenant, sync_id: str, asked: Asked) -> Ended:
    """Run a sync and write its ledgers.

    Raises:
        UsageError: the sync, its destination or its keys are wrong; nothing was sent.
        MurmurError: it is running already.
    """
    sync = load_sync(tenant, sync_id)
    place = open_place(tenant, sync.destination, asked.environment, development=asked.development)
    with _alone(folder(tenant, sync_id), sync_id):
        return _run(tenant, sync_id, sync, place, asked)


def _run(tenant: Tenant, sync_id: str, sync: Sync, place: Opened, asked: Asked) -> Ended:
    own = folder(tenant, sync_id)
    memory, log = Acknowledged(own / "memory"), AttemptLog(own / "attempts.ndjson")
    days = tenant.lake.days("cohort_membership")
    ended = Ended(
        sync_id=sync_id,
        run_id=asked.run_id,
        mode=sync.mode,
        started_at=asked.clock(),
        finished_at=0,
        status="failed",
        counts={},
        cursor=days[-1].isoformat() if days else None,
        definition_version=identifier(sync.model_dump_json())[:12],
        trigger=asked.trigger,
    )
    try:
        desired = _wanted(tenant, sync_id, sync)
    except InvalidKeysError as error:
        publish(tenant, replace(ended, finished_at=asked.clock(), counts={"invalid": error.rows}), log.read(), None)
        log.forget()
        raise
    retried = set(memory.known().filter(pl.col("consecutive_failures") > 0)["row_key"])
    found, stopped = asyncio.run(_sent(sync, desired, memory, log, place, asked))
    attempts = log.read()
    mine = [each for each in attempts if each.run_id == asked.run_id]
    totals = _totals(found, mine, retried)
    status = stopped or ("partial" if totals["rejected"] or totals["parked"] else "done")
    ended = replace(ended, finished_at=asked.clock(), status=status, counts=totals)
    publish(tenant, ended, attempts, standing(tenant, sync_id, sync, desired, memory.known(), ended.finished_at))
    # A kill before this line has the attempts published again, as the same rows.
    log.forget()
    return ended


def _wanted(tenant: Tenant, sync_id: str, sync: Sync) -> pl.DataFrame:
    """``model.desired_rows``; errors name the file."""
    file = tenant.folder / "syncs" / f"{sync_id}.yaml"
    try:
        return desired_rows(tenant, sync)
    except InvalidKeysError as error:
        raise InvalidKeysError(f"{file}: {error}", error.rows) from None
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


async def _sent(
    sync: Sync, desired: pl.DataFrame, memory: Acknowledged, log: AttemptLog, place: Opened, asked: Asked
) -> tuple[Difference, str | None]:
    async with open_sender() as sender:
        there = HttpDestination(sender, place.url, place.token, place.allow_private)
        sending = Sending(sync, memory, log, there, Around(asked.run_id, asked.clock, asyncio.sleep))
        found = await sending.send(desired)
    return found, {"paused": "paused", "later": "partial"}.get(sending.stopped or "")


def _totals(found: Difference, attempts: list[Attempt], retried: set[str]) -> dict[str, int]:
    """Counts for ``sync_runs``: rows that arrived by operation, and what became of the others."""
    last = {each.row_key: each for each in attempts}
    arrived = [each.op for each in last.values() if each.status == "succeeded"]
    by_diff = found.counts()
    return {
        **{op: arrived.count(op) for op in (ADDED, CHANGED, REMOVED)},
        "unchanged": by_diff["unchanged"],
        "rejected": len(last) - len(arrived),
        "retried": len(retried & last.keys()),
        "parked": by_diff[PARKED],
    }


@contextmanager
def _alone(own: Path, sync_id: str) -> Iterator[None]:
    """One run of a sync at a time; the lock goes with the process that holds it."""
    own.mkdir(parents=True, exist_ok=True)
    with (own / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MurmurError(f"sync {sync_id} is running already; wait for it to end") from None
        yield
