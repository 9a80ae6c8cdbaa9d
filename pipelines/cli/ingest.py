"""``murmur ingest``: land files, or what waits in the inboxes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import Tenant, Workspace
from pipelines.errors import UsageError
from pipelines.landing.drops import SETTLES_AFTER, Drop, files_of
from pipelines.landing.free_text import shown_name
from pipelines.landing.inbox import glance, land_drops
from pipelines.landing.ingest import ingest_file
from pipelines.landing.layout import entity_named
from pipelines.landing.source import payload_of_file
from pipelines.landing.store import Receipt

COUNTS = ("received", "accepted", "duplicate", "superseded", "quarantined")


@click.command()
@tenant_option
@click.option("--entity", metavar="ENTITY", help="What the records of FILE... are, such as customer_events.")
@click.option(
    "--dir", "folder", metavar="FOLDER", type=click.Path(path_type=Path), help="Land what a folder's names say."
)
@click.option("--inbox", is_flag=True, help="Land what was dropped into the tenant's inboxes.")
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def ingest(
    workspace: Workspace,
    tenant_id: str,
    entity: str | None,
    folder: Path | None,
    inbox: bool,
    files: Sequence[Path],
    as_json: bool,
) -> int:
    """Land files of one entity, of a folder or of the inboxes: .ndjson, .json, .csv, .parquet, each also .gz or .zst.

    In a folder and in an inbox, ENTITY/FILE or ENTITY.ndjson says what a file's records are.
    """
    tenant = workspace.tenant(tenant_id)
    if [bool(entity or files), folder is not None, inbox].count(True) != 1 or bool(entity) != bool(files):
        raise UsageError("say what to land: --entity ENTITY FILE..., --dir FOLDER or --inbox")
    if inbox:
        return _inbox(tenant, as_json)
    if folder is not None:
        listed, left = files_of(folder)
        skipped = _skipped(left)
        if skipped:
            folders = ", ".join(shown_name(f"{name}/ ({count})") for name, count in skipped.items())
            note(f"skipped folders that are named like no entity, and their files: {folders}")
        _warn_left(left)
    else:
        listed = [(entity_named(entity or "").name, file) for file in files]
    for _, file in listed:
        payload_of_file(file)
    receipts = []
    for name, file in _progress(listed, folder is not None):
        receipts.append(ingest_file(tenant, name, file, received_at=datetime.now(UTC)))
        _warn(receipts[-1])
    _report(tenant_id, receipts, _result(receipts), as_json)
    return 0


def _inbox(tenant: Tenant, as_json: bool) -> int:
    """Look at the inboxes; exit 1 when something in them could not be read."""
    waiting, look = glance(tenant, _now())
    if look.left.get("settling"):
        # A person who has just copied a file wants to see it land.
        time.sleep(SETTLES_AFTER.total_seconds())
        waiting, _ = glance(tenant, _now())
    with _bar() as bar:
        task = bar.add_task("landing", total=len(waiting))
        look = land_drops(tenant, _now, lambda drop: bar.update(task, advance=1, description=drop.name))
    for receipt in look.receipts:
        _warn(receipt)
    _warn_left(look.left)
    for what, why in [*look.unreachable, *((f"{drop.root}/{drop.found.key}", why) for drop, why in look.failed)]:
        note(shown_name(f"{what}: not read: {why}"))
    result = {
        **_result(look.receipts),
        "objects": look.counts(),
        "failed": [
            {"root": d.root, "key": shown_name(d.found.key), "reason": shown_name(why)} for d, why in look.failed
        ],
        "unreachable": [{"root": root, "reason": why} for root, why in look.unreachable],
        "left": {standing: [shown_name(drop.found.key) for drop in listed] for standing, listed in look.left.items()},
    }
    _report(tenant.id, look.receipts, result, as_json)
    return 1 if look.failed or look.unreachable else 0


def _now() -> datetime:
    return datetime.now(UTC)


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal, transient=True)


def _progress(listed: Sequence[tuple[str, Path]], shown: bool) -> Iterator[tuple[str, Path]]:
    with _bar() if shown else nullcontext() as bar:
        task = bar.add_task("landing", total=len(listed)) if bar else None
        for name, file in listed:
            yield name, file
            if bar and task is not None:
                bar.update(task, advance=1, description=file.name)


def _report(tenant_id: str, receipts: Sequence[Receipt], result: dict[str, Any], as_json: bool) -> None:
    if any(receipt.quarantined for receipt in receipts):
        note(f"refused rows and why: murmur quarantine list --tenant {tenant_id}")
    emit(result, as_json, lambda: _show(receipts))


_LEFT = {
    "settling": "written to a moment ago",
    "unfinished": "named like a file that is still being written",
    "empty": "empty",
    "link": "a symbolic link",
    "unknown_entity": "in no folder that is named like an entity",
    "unknown_format": "of no known format",
}


def _warn_left(left: Mapping[str, Sequence[Drop]]) -> None:
    for standing, listed in sorted(left.items()):
        others = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
        note(f"left: {shown_name(listed[0].found.key)}{others}: {_LEFT[standing]}")


def _skipped(left: dict[str, list[Drop]]) -> dict[str, int]:
    """Folders that are named like no entity, such as the truth of a simulation, taken out of what is left."""
    unknown = left.pop("unknown_entity", [])
    loose = [drop for drop in unknown if "/" not in drop.found.key]
    if loose:
        left["unknown_entity"] = loose
    return dict(sorted(Counter(drop.found.key.partition("/")[0] for drop in unknown if drop not in loose).items()))


def _warn(receipt: Receipt) -> None:
    if receipt.known:
        renamed = f" as {receipt.file}" if receipt.sent_as != receipt.file else ""
        note(f"{_name(receipt)}: received before{renamed}; nothing to do")
        return
    if receipt.file_reason:
        note(f"{receipt.file}: refused whole: {receipt.file_reason}")
    elif not receipt.received:
        note(f"{receipt.file}: 0 rows; nothing to land")
    if receipt.unknown_fields:
        note(f"{receipt.file}: fields that no contract declares were dropped: {', '.join(receipt.unknown_fields)}")
    if receipt.conflicting_messages:
        note(f"{receipt.file}: message ids that say something else than before: {receipt.conflicting_messages}")
    if receipt.masked:
        cells = ", ".join(f"{name} ({count})" for name, count in receipt.masked.items())
        note(f"{receipt.file}: contact details in free text went to the vault: {cells}")


def _name(receipt: Receipt) -> str:
    return receipt.sent_as or receipt.file


def _result(receipts: Sequence[Receipt]) -> dict[str, Any]:
    files = [
        {
            **receipt.row(),
            "known": receipt.known,
            "sent_as": _name(receipt),
            "unknown_fields": sorted(receipt.unknown_fields),
            "masked": receipt.masked,
        }
        for receipt in receipts
    ]
    return {"files": files, "total": _total(receipts)}


def _total(receipts: Sequence[Receipt]) -> dict[str, int]:
    return {name: sum(getattr(receipt, name) for receipt in receipts) for name in COUNTS}


def _show(receipts: Sequence[Receipt]) -> None:
    rows: list[list[Any]] = [[_name(r), *(getattr(r, name) for name in COUNTS)] for r in receipts]
    if len(receipts) > 1:
        rows.append(["total", *_total(receipts).values()])
    table(["file", *COUNTS], rows)
