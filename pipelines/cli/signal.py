"""``murmur signal``: list the product signals and show the newest values of one subject."""

from __future__ import annotations

import click
import polars as pl

from pipelines.cli.output import emit, json_option, table, tenant_option
from pipelines.config import Workspace
from pipelines.errors import UsageError
from pipelines.signals.catalogue import signals

SHOWN = ["date", "signal_id", "subject", "value", "state", "value_prev", "state_prev", "definition_version"]


@click.group()
def signal() -> None:
    """List and show signals."""


@signal.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_signals(workspace: Workspace, tenant_id: str, as_json: bool) -> None:
    """List the signals with their version and what they say."""
    rows = [
        {
            "signal": each.id,
            "subject": each.subject,
            "signal_ids": each.signal_ids,
            "description": each.description,
            "definition_version": each.definition_version,
        }
        for each in signals(workspace.tenant(tenant_id)).values()
    ]
    columns = ["signal", "subject", "definition_version", "description"]
    shown = ["signal", "subject", "version", "description"]
    emit(rows, as_json, lambda: table(shown, [[row[name] for name in columns] for row in rows]))


@signal.command("show")
@click.argument("signal_id", metavar="SIGNAL")
@click.argument("subject")
@tenant_option
@click.option("--days", default=14, show_default=True, help="How many of the newest days.")
@json_option
@click.pass_obj
def show(workspace: Workspace, signal_id: str, subject: str, tenant_id: str, days: int, as_json: bool) -> None:
    """Show the value and state of a signal for one product, newest day first."""
    tenant = workspace.tenant(tenant_id)
    definitions = signals(tenant)
    wanted = definitions[signal_id].signal_ids if signal_id in definitions else [signal_id]
    known = sorted(name for each in definitions.values() for name in each.signal_ids)
    if not set(wanted) <= set(known):
        raise UsageError(f"signal {signal_id!r} is not there; signals: {', '.join(known)}")
    newest = tenant.lake.days("signal_snapshots")[-days:]
    frame = (
        tenant.lake.scan("signal_snapshots", newest)
        .filter(pl.col("signal_id").is_in(wanted) & (pl.col("subject") == subject))
        .select(SHOWN)
        .sort("date", "signal_id", descending=[True, False])
        .collect()
    )
    emit(frame.to_dicts(), as_json, lambda: table(SHOWN[:-1], [row[:-1] for row in frame.iter_rows()]))
