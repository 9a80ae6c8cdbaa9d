"""``murmur ingest`` and ``murmur quarantine``: land files, see what was refused, replay it after a fix."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import Workspace
from pipelines.landing import quarantine as quarantined
from pipelines.landing.ingest import ingest_file
from pipelines.landing.layout import entity_named
from pipelines.landing.source import payload_of_file
from pipelines.landing.store import Receipt

COUNTS = ("received", "accepted", "duplicate", "superseded", "quarantined")


@click.command()
@tenant_option
@click.option("--entity", required=True, metavar="ENTITY", help="What the records are, such as customer_events.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def ingest(workspace: Workspace, tenant_id: str, entity: str, files: Sequence[Path], as_json: bool) -> None:
    """Land files of one entity: .ndjson, .json, .csv or .parquet, each also .gz."""
    tenant = workspace.tenant(tenant_id)
    entity_named(entity)
    for file in files:
        payload_of_file(file)
    receipts = []
    for file in files:
        receipt = ingest_file(tenant, entity, file, received_at=datetime.now(UTC))
        receipts.append(receipt)
        _warn(receipt)
    if any(receipt.quarantined for receipt in receipts):
        note(f"refused rows and why: murmur quarantine list --tenant {tenant_id}")
    emit(_result(receipts), as_json, lambda: _show(receipts))


def _warn(receipt: Receipt) -> None:
    if receipt.known:
        note(f"{receipt.file}: received before; nothing to do")
    elif receipt.file_reason:
        note(f"{receipt.file}: refused whole: {receipt.file_reason}")
    if receipt.unknown_fields and not receipt.known:
        note(f"{receipt.file}: fields that no contract declares were dropped: {', '.join(receipt.unknown_fields)}")
    if receipt.masked and not receipt.known:
        cells = ", ".join(f"{name} ({count})" for name, count in receipt.masked.items())
        note(f"{receipt.file}: contact details in free text went to the vault: {cells}")


def _result(receipts: Sequence[Receipt]) -> dict[str, Any]:
    files = [
        {
            **receipt.row(),
            "known": receipt.known,
            "unknown_fields": sorted(receipt.unknown_fields),
            "masked": receipt.masked,
        }
        for receipt in receipts
    ]
    return {"files": files, "total": _total(receipts)}


def _total(receipts: Sequence[Receipt]) -> dict[str, int]:
    return {name: sum(getattr(receipt, name) for receipt in receipts) for name in COUNTS}


def _show(receipts: Sequence[Receipt]) -> None:
    rows: list[list[Any]] = [[r.file, *(getattr(r, name) for name in COUNTS)] for r in receipts]
    if len(receipts) > 1:
        rows.append(["total", *_total(receipts).values()])
    table(["file", *COUNTS], rows)


@click.group()
def quarantine() -> None:
    """See what was refused, and replay it after a fix."""


@quarantine.command("list")
@tenant_option
@click.option("--entity", metavar="ENTITY", help="Only this entity.")
@json_option
@click.pass_obj
def list_quarantine(workspace: Workspace, tenant_id: str, entity: str | None, as_json: bool) -> None:
    """List refused rows, grouped by entity and reason."""
    groups = quarantined.grouped(workspace.tenant(tenant_id), entity).to_dicts()
    columns = ["entity", "reason", "rows", "example_file", "example_line"]
    emit(groups, as_json, lambda: table(columns, [[group[name] for name in columns] for group in groups]))


@quarantine.command("replay")
@tenant_option
@click.option("--entity", metavar="ENTITY", help="Only this entity.")
@json_option
@click.pass_obj
def replay(workspace: Workspace, tenant_id: str, entity: str | None, as_json: bool) -> None:
    """Read refused rows again with the rules of today and land those that pass now."""
    tenant = workspace.tenant(tenant_id)
    outcomes = quarantined.replay(tenant, entity, received_at=datetime.now(UTC))
    rows = [[o["entity"], o["batch_id"][:12], o["tried"], o["moved"], o["left"]] for o in outcomes]
    emit(outcomes, as_json, lambda: table(["entity", "batch", "tried", "moved", "left"], rows))
