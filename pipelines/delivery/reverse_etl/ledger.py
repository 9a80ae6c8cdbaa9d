"""The open tables of reverse ETL: runs, attempts and where every row stands, written once a run has ended.

A run that was killed is told by the next one: its attempts are in the log, and it gets a row that says that it failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.delivery.reverse_etl.attempts import Attempt
from pipelines.delivery.reverse_etl.definition import Sync
from pipelines.delivery.reverse_etl.diff import payload_hash
from schemas.registry import LAKE

RUNS, CHANGES, SNAPSHOT = "sync_runs", "sync_changelog", "sync_snapshot"
_NONE = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0, "rejected": 0, "invalid": 0, "retried": 0, "parked": 0}


@dataclass(frozen=True)
class Ended:
    """A run for ``sync_runs``; instants in microseconds.

    Attributes:
        counts: those of ``sync_runs`` that are not 0.
    """

    sync_id: str
    run_id: str
    mode: str
    started_at: int
    finished_at: int
    status: str
    counts: Mapping[str, int]
    cursor: str | None
    definition_version: str
    trigger: str


def publish(tenant: Tenant, ended: Ended, attempts: Sequence[Attempt], snapshot: pl.DataFrame | None) -> None:
    """Write a run, every attempt of the log, and where rows stand now.

    Args:
        tenant: whose lake.
        ended: the run.
        attempts: of this run, and of runs that were killed before they told.
        snapshot: what ``standing`` gave; None leaves the table as it is.
    """
    told = {each.run_id for each in attempts if each.run_id != ended.run_id}
    killed = [_killed(ended, run_id, [each for each in attempts if each.run_id == run_id]) for run_id in sorted(told)]
    _append(tenant, RUNS, [_run(each) for each in (*killed, ended)], "finished_at")
    _append(tenant, CHANGES, [{**asdict(each), "sync_id": ended.sync_id} for each in attempts], "sent_at")
    if snapshot is not None:
        others = tenant.lake.scan(SNAPSHOT).filter(pl.col("sync_id") != ended.sync_id).collect()
        tenant.lake.replace(SNAPSHOT, pl.concat([others, snapshot]))


def standing(
    tenant: Tenant, sync_id: str, sync: Sync, desired: pl.DataFrame, known: pl.DataFrame, now: int
) -> pl.DataFrame:
    """Rows of ``sync_snapshot`` of one sync.

    Args:
        tenant: with what was said before, for ``first_seen`` and ``last_success``.
        sync_id: of the sync.
        sync: its definition.
        desired: ``model.DESIRED``.
        known: ``diff.KNOWN`` after the run.
        now: microseconds.
    """
    before = tenant.lake.scan(SNAPSHOT).filter(pl.col("sync_id") == sync_id)
    seen = before.select("row_key", "first_seen", "last_success", pl.col("acked_hash").alias("acked_before")).collect()
    hashed = desired.select("row_key", payload_hash())
    both = hashed.join(known, on="row_key", how="full", coalesce=True).join(seen, on="row_key", how="left")
    instant = pl.lit(now).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    failures = pl.col("consecutive_failures").fill_null(0)
    wanted, acked = pl.col("payload_hash"), pl.col("acked_hash")
    open_still = pl.col("uncertain").fill_null(False)
    state = (
        pl.when(wanted.is_null() & (sync.mode == "mirror"))
        .then(pl.lit("removing"))
        .when((wanted == acked) & ~open_still)
        .then(pl.lit("in_sync"))
        .when(failures >= sync.park_after)
        .then(pl.lit("parked"))
        .when(failures > 0)
        .then(pl.lit("failed"))
        .when(wanted.is_null())
        .then(pl.lit("in_sync"))
        .otherwise(pl.lit("pending"))
    )
    fresh = acked.is_not_null() & acked.ne_missing(pl.col("acked_before"))
    return both.select(
        pl.lit(sync_id).alias("sync_id"),
        "row_key",
        wanted.alias("desired_hash"),
        "acked_hash",
        state.alias("state"),
        pl.coalesce("first_seen", instant).alias("first_seen"),
        pl.when(fresh).then(instant).otherwise("last_success").alias("last_success"),
        failures.alias("consecutive_failures"),
        pl.from_epoch("next_retry_at", time_unit="us").dt.replace_time_zone("UTC").alias("next_retry_at"),
    ).sort("row_key")


def _killed(ended: Ended, run_id: str, attempts: Sequence[Attempt]) -> Ended:
    times = [each.sent_at for each in attempts]
    rejected = len({each.row_key for each in attempts if each.status == "rejected"})
    return Ended(
        ended.sync_id,
        run_id,
        ended.mode,
        min(times),
        max(times),
        "failed",
        {"rejected": rejected},
        None,
        ended.definition_version,
        "unknown",
    )


def _run(ended: Ended) -> dict[str, Any]:
    row = asdict(ended)
    counts = row.pop("counts")
    return {**row, **_NONE, **counts}


def _append(tenant: Tenant, table: str, rows: Sequence[Mapping[str, Any]], instant: str) -> None:
    """Add rows to the days that they fall on; a row that is there already is replaced."""
    contract = LAKE[table]
    schema = {name: pl.Int64 if kind == pl.Datetime("us", "UTC") else kind for name, kind in contract.schema.items()}
    frame = pl.DataFrame([dict(row) for row in rows], schema={n: k for n, k in schema.items() if n != "date"})
    times = [name for name, kind in contract.schema.items() if isinstance(kind, pl.Datetime)]
    frame = frame.with_columns(pl.from_epoch(name, time_unit="us").dt.replace_time_zone("UTC") for name in times)
    frame = frame.with_columns(local_date(pl.col(instant), tenant.zone).alias("date"))
    with tenant.lake.writer(table) as writer:
        for (day,), added in frame.partition_by("date", as_dict=True).items():
            assert isinstance(day, date)  # noqa: S101
            kept = tenant.lake.read(table, [day]).join(added, on=list(contract.primary_key), how="anti")
            writer.put(day, pl.concat([kept, added.select(kept.columns)]))
