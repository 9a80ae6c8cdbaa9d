"""Ledgers of reverse ETL: runs of syncs, what each attempt did to a row, and where every row stands."""

from __future__ import annotations

from schemas.contract import Column, Contract
from schemas.tables.shared import DATE

RUN_STATUSES = ("done", "partial", "paused", "failed")
ROW_STATUSES = ("succeeded", "rejected", "invalid_null", "invalid_duplicate", "skipped")
ROW_STATES = ("in_sync", "pending", "failed", "parked", "removing")


def _count(name: str, what: str) -> Column:
    return Column(name, "int64", required=True, minimum=0, description=what)


SYNC_RUNS = Contract(
    name="sync_runs",
    description="Ledger: one run of a sync, and how many rows it met.",
    primary_key=("date", "sync_id", "run_id"),
    columns=(
        DATE,
        Column("sync_id", "string", required=True, description="Sync."),
        Column("run_id", "string", required=True, description="Run."),
        Column("mode", "string", required=True, description="How rows are written at the destination."),
        Column("started_at", "timestamp", required=True, description="When it began."),
        Column("finished_at", "timestamp", required=True, description="When it ended."),
        Column(
            "status",
            "string",
            required=True,
            enum=RUN_STATUSES,
            description="partial: some rows failed; paused: the destination takes nothing until somebody acts.",
        ),
        _count("added", "Rows that the destination did not have."),
        _count("changed", "Rows that it had otherwise."),
        _count("removed", "Rows that it had and the model has no more."),
        _count("unchanged", "Rows that it has as they are."),
        _count("rejected", "Rows that it refused."),
        _count("invalid", "Rows without a key, or with the key of another."),
        _count("retried", "Rows that failed before and were tried again."),
        _count("parked", "Rows that failed so often that they wait for a change or for somebody."),
        Column("cursor", "string", description="Newest partition that the model could read."),
        Column("definition_version", "string", required=True, description="Hash of the sync's file."),
        Column("trigger", "string", required=True, description="Who asked: manual, schedule or partition."),
    ),
)

SYNC_CHANGELOG = Contract(
    name="sync_changelog",
    description="Ledger: one attempt to write one row to a destination.",
    primary_key=("date", "sync_id", "run_id", "row_key", "attempt"),
    columns=(
        DATE,
        Column("sync_id", "string", required=True, description="Sync."),
        Column("run_id", "string", required=True, description="Run."),
        Column("row_key", "string", required=True, description="Canonical JSON list of the key's values."),
        Column("attempt", "int64", required=True, minimum=1, description="Of this row in this run."),
        Column("op", "string", required=True, enum=("added", "changed", "removed"), description="What was to be done."),
        Column("payload_hash", "string", description="Of the fields; null for a removal."),
        Column("status", "string", required=True, enum=ROW_STATUSES, description="What became of it."),
        Column("error_code", "string", description="A stable word of ours or of the destination."),
        Column("error_message", "string", description="In words of ours; nothing of the row."),
        Column("http_status", "int64", description="Of the answer, where it speaks HTTP."),
        Column("batch_id", "string", required=True, description="Request that the row was in."),
        Column("sent_at", "timestamp", required=True, description="When it was sent."),
        Column("acked_at", "timestamp", description="When the destination answered."),
    ),
)

SYNC_SNAPSHOT = Contract(
    name="sync_snapshot",
    description="Where every row of a sync stands: what is wanted, and what the destination acknowledged.",
    partitioned=False,
    primary_key=("sync_id", "row_key"),
    columns=(
        Column("sync_id", "string", required=True, description="Sync."),
        Column("row_key", "string", required=True),
        Column("desired_hash", "string", description="Null for a row that the model has no more."),
        Column("acked_hash", "string", description="Null for a row that was never acknowledged."),
        Column("state", "string", required=True, enum=ROW_STATES),
        Column("first_seen", "timestamp", required=True),
        Column("last_success", "timestamp"),
        Column("consecutive_failures", "int64", required=True, minimum=0),
        Column("next_retry_at", "timestamp"),
    ),
)
