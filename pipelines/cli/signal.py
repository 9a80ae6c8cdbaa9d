"""``murmur signal``: list the product signals and show the newest values of one subject."""

from __future__ import annotations

import click
import polars as pl

from pipelines.cli.output import emit, json_option, table, tenant_option
from pipelines.config import Workspace
from pipelines.errors import UsageError
from pipelines.signals.catalogue import signals

SHOWN = ["date", "signal_id", "subject", "place", "value", "state", "value_prev", "state_prev", "definition_version"]
MOVED = ["effective_at", "signal_id", "place", "from_state", "to_state", "value_after", "suppressed_by"]


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
            "family": each.family,
            "signal_ids": each.signal_ids,
            "description": each.description,
            "definition_version": each.definition_version,
        }
        for each in signals(workspace.tenant(tenant_id)).values()
    ]
    columns = ["signal", "family", "definition_version", "description"]
    shown = ["signal", "family", "version", "description"]
    emit(rows, as_json, lambda: table(shown, [[row[name] for name in columns] for row in rows]))


@signal.command("show")
@click.argument("signal_id", metavar="SIGNAL")
@click.argument("subject")
@tenant_option
@click.option("--days", default=14, show_default=True, help="How many of the newest days.")
@json_option
@click.pass_obj
def show(workspace: Workspace, signal_id: str, subject: str, tenant_id: str, days: int, as_json: bool) -> None:
    """Show a signal of one product, newest day first: values and states, and what crossed or fired."""
    tenant = workspace.tenant(tenant_id)
    definitions = signals(tenant)
    definition = definitions.get(signal_id)
    wanted = definition.signal_ids if definition else [signal_id]
    known = sorted(name for each in definitions.values() for name in each.signal_ids)
    if not set(wanted) <= set(known):
        raise UsageError(f"signal {signal_id!r} is not there; signals: {', '.join(known)}")
    newest = tenant.lake.days("signal_snapshots")[-days:]
    wanted_rows = pl.col("signal_id").is_in(wanted) & (pl.col("subject") == subject)
    frame = (
        tenant.lake.scan("signal_snapshots", newest)
        .filter(wanted_rows)
        .select(SHOWN)
        .sort("date", "signal_id", "place", descending=[True, False, False])
        .collect()
    )
    moves = (
        tenant.lake.scan("signal_crossings", newest)
        .filter(wanted_rows)
        .select(MOVED)
        .sort("effective_at", "signal_id", "place", descending=[True, False, False])
        .collect()
    )
    if definition is not None and definition.is_event:
        emit(moves.to_dicts(), as_json, lambda: table(MOVED, list(moves.iter_rows())))
        return
    emit(frame.to_dicts(), as_json, lambda: _tables(frame, moves))


def _tables(frame: pl.DataFrame, moves: pl.DataFrame) -> None:
    table(SHOWN[:-1], [row[:-1] for row in frame.iter_rows()])
    if moves.height:
        table(MOVED, list(moves.iter_rows()))
