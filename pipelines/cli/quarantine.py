"""``murmur quarantine``: see what was refused, why and what to do, and replay it after a fix."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import polars as pl

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import Workspace
from pipelines.landing import quarantine as quarantined

_ROW_COLUMNS = ("entity", "batch_id", "file", "line_no", "date", "reason", "received_at", "expired", "redacted_row")


@click.group()
def quarantine() -> None:
    """See what was refused, and replay it after a fix."""


@quarantine.command("list")
@tenant_option
@click.option("--entity", metavar="ENTITY", help="Only this entity.")
@click.option("--reason", metavar="REASON", help="Only this reason, or this rule whatever the field.")
@click.option("--batch", metavar="ID", help="Only batches whose id begins so.")
@click.option("--rows", is_flag=True, help="Show each row: its keys and the shapes of their values.")
@json_option
@click.pass_obj
def list_quarantine(
    workspace: Workspace,
    tenant_id: str,
    entity: str | None,
    reason: str | None,
    batch: str | None,
    rows: bool,
    as_json: bool,
) -> None:
    """List refused rows by entity and reason, with what to do about them."""
    found = quarantined.listed(workspace.tenant(tenant_id), entity, reason=reason, batch=batch)
    if rows:
        _rows(found, as_json)
        return
    groups = quarantined.grouped(found).to_dicts()
    shown = [
        [
            *(group[name] for name in ("entity", "reason", "rows")),
            *(f"{group[name]:%Y-%m-%d}" for name in ("first_seen", "last_seen")),
            f"{group['example_file']}:{group['example_line']}",
            group["fix"],
        ]
        for group in groups
    ]
    emit(groups, as_json, lambda: table(["entity", "reason", "rows", "first", "last", "example", "what to do"], shown))
    expired = sum(group["expired"] for group in groups)
    if expired:
        note(f"{expired} of them have left the vault and can no longer be replayed")


def _rows(found: pl.DataFrame, as_json: bool) -> None:
    records = found.select(_ROW_COLUMNS).to_dicts()
    shown = [
        [row["entity"], row["batch_id"][:12], f"{row['file']}:{row['line_no']}", row["reason"], row["redacted_row"]]
        for row in records
    ]
    emit(records, as_json, lambda: table(["entity", "batch", "line", "reason", "row"], shown))


@quarantine.command("replay")
@tenant_option
@click.option("--entity", metavar="ENTITY", help="Only this entity.")
@json_option
@click.pass_obj
def replay(workspace: Workspace, tenant_id: str, entity: str | None, as_json: bool) -> None:
    """Read refused rows again with the rules of today and land those that pass now."""
    tenant = workspace.tenant(tenant_id)
    outcomes = quarantined.replay(tenant, entity, received_at=datetime.now(UTC))
    rows = [[o["entity"], o["batch_id"][:12], o["tried"], o["moved"], o["left"], o["expired"]] for o in outcomes]
    emit(outcomes, as_json, lambda: table(["entity", "batch", "tried", "moved", "left", "expired"], rows))
