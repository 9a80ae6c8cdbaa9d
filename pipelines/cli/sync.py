"""``murmur sync``: keep rows of a model equal in somebody else's table; see first what would be sent."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from typing import Any

import click
import polars as pl

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import Tenant, Workspace
from pipelines.delivery.deliver import is_development
from pipelines.delivery.instants import from_micros, micros
from pipelines.delivery.reverse_etl.definition import load_sync, sync_ids
from pipelines.delivery.reverse_etl.diff import fields
from pipelines.delivery.reverse_etl.ledger import RUNS
from pipelines.delivery.reverse_etl.sync import Asked, compare, run_sync
from pipelines.errors import MurmurError


@click.group()
def sync() -> None:
    """Reverse ETL: list, compare, run."""


@sync.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_syncs(workspace: Workspace, tenant_id: str, as_json: bool) -> None:
    """The tenant's syncs and how their last run ended."""
    tenant = workspace.tenant(tenant_id)
    rows = [_listed(tenant, sync_id) for sync_id in sync_ids(tenant)]
    if not rows and not as_json:
        note(f"no syncs yet; write one as {tenant.folder / 'syncs' / 'NAME.yaml'}")
        return
    columns = ["sync", "mode", "destination", "schedule", "last_run", "status", "added", "changed", "removed"]
    emit(rows, as_json, lambda: table(columns, [[row[name] for name in columns] for row in rows]))


def _listed(tenant: Tenant, sync_id: str) -> dict[str, Any]:
    definition = load_sync(tenant, sync_id)
    runs = tenant.lake.scan(RUNS).filter(pl.col("sync_id") == sync_id).sort("finished_at", "run_id").tail(1).collect()
    last = runs.to_dicts()[0] if runs.height else {}
    return {
        "sync": sync_id,
        "mode": definition.mode,
        "destination": definition.destination,
        "schedule": definition.schedule,
        "last_run": last.get("finished_at"),
        **{name: last.get(name) for name in ("status", "added", "changed", "removed")},
    }


@sync.command("dry-run")
@click.argument("sync_id", metavar="SYNC")
@tenant_option
@click.option("--limit", default=10, show_default=True, help="Rows of which the fields are shown.")
@json_option
@click.pass_obj
def dry_run(workspace: Workspace, sync_id: str, tenant_id: str, limit: int, as_json: bool) -> None:
    """What a run would send now, row by row and field by field; nothing is sent."""
    found = compare(workspace.tenant(tenant_id), sync_id, micros(datetime.now(UTC)))
    changed = found.due().head(limit)
    rows = [
        {"key": row["row_key"], "op": row["op"], "fields": fields(row["payload"], row["acked_payload"])}
        for row in changed.to_dicts()
    ]
    emit({"counts": found.counts(), "rows": rows}, as_json, lambda: _compared(found.counts(), rows))


def _compared(totals: dict[str, int], rows: list[dict[str, Any]]) -> None:
    table(["operation", "rows"], [[op, number] for op, number in totals.items()])
    shown = [
        [row["key"], row["op"], name, before, after]
        for row in rows
        for name, (before, after) in (row["fields"] or {"-": (None, None)}).items()
    ]
    if shown:
        table(["key", "operation", "field", "there", "wanted"], shown)


@sync.command("run")
@click.argument("sync_id", metavar="SYNC")
@tenant_option
@json_option
@click.pass_obj
def run(workspace: Workspace, sync_id: str, tenant_id: str, as_json: bool) -> None:
    """Send what differs; exit 1 when rows were refused or the destination takes nothing."""
    asked = Asked(
        run_id=f"run_{secrets.token_hex(12)}",
        trigger="manual",
        clock=lambda: micros(datetime.now(UTC)),
        environment=os.environ,
        development=is_development(),
    )
    ended = run_sync(workspace.tenant(tenant_id), sync_id, asked)
    result = {
        "run_id": ended.run_id,
        "status": ended.status,
        "started_at": from_micros(ended.started_at),
        "finished_at": from_micros(ended.finished_at),
        **ended.counts,
    }
    emit(result, as_json, lambda: table(["", ""], [[name, value] for name, value in result.items()]))
    if ended.status != "done":
        told = f"sync_changelog has why, under run_id {ended.run_id}"
        raise MurmurError(f"sync {sync_id} ended as {ended.status}; the table {told}")
