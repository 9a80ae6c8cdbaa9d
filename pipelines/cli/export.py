"""``murmur export``: list what was published, check it as a reader would, check buckets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import click

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import Tenant, Workspace
from pipelines.exports.manifest import Manifest
from pipelines.exports.onboarding import check_target
from pipelines.exports.retention import prune
from pipelines.exports.revision import newest_revisions
from pipelines.exports.target import export_store
from pipelines.exports.verify import verify

KINDS: tuple[Literal["s3", "gcs"], ...] = ("s3", "gcs")


@click.group()
def export() -> None:
    """Published files: list and verify."""


@export.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_exports(workspace: Workspace, tenant_id: str, as_json: bool) -> None:
    """Newest revision of every dataset and day."""
    found = [row for kind in KINDS for row in _published(workspace.tenant(tenant_id), kind)]
    names = ["dataset", "date", "revision", "reason", "rows", "completeness", "url"]
    shown = [[f"{row[name]:.3f}" if name == "completeness" else row[name] for name in names[:-1]] for row in found]
    emit(found, as_json, lambda: table(names[:-1], shown))
    if not found:
        note("nothing is published yet; run the pipeline first")


def _published(tenant: Tenant, kind: Literal["s3", "gcs"]) -> list[dict[str, object]]:
    store = export_store(tenant, kind)
    return [_row(store.url, manifest) for manifest in newest_revisions(store)] if store else []


def _row(root: str, manifest: Manifest) -> dict[str, object]:
    folder = manifest.files[0].path.split("_revisions/", 1)[1].rsplit("/r", 1)[0] if manifest.files else ""
    return {
        "dataset": manifest.dataset,
        "date": manifest.date,
        "revision": manifest.revision,
        "reason": manifest.reason,
        "rows": manifest.row_count,
        "completeness": manifest.completeness,
        "unresolved": manifest.unresolved,
        "changes": manifest.changes,
        "url": f"{root}/v1/{folder}",
    }


@export.command("check")
@tenant_option
@json_option
@click.pass_obj
def check_buckets(workspace: Workspace, tenant_id: str, as_json: bool) -> int:
    """Check role and buckets before the first export; exit 1 where one must not be used as it is."""
    tenant = workspace.tenant(tenant_id)
    named = [kind for kind in KINDS if getattr(tenant.config.exports, kind)]
    answers = [(kind, *answer) for kind in named for answer in check_target(tenant, kind)]
    rows = [
        {"export": kind, "check": check, "ok": good, "problem": None if good else way_out}
        for kind, check, good, way_out in answers
    ]
    shown = [[row["export"], row["check"], "yes" if row["ok"] else "NO"] for row in rows]
    emit(rows, as_json, lambda: table(["export", "check", "holds"], shown))
    for row in rows:
        if not row["ok"]:
            note(f"{row['export']}: {row['check']}: no; {row['problem']}")
    if not named:
        note(f"tenant {tenant_id} has no exports in its tenant.yaml")
    return 0 if all(row["ok"] for row in rows) else 1


@export.command("prune")
@tenant_option
@click.option(
    "--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Instead of exports.keep_revisions_days."
)
@json_option
@click.pass_obj
def prune_revisions(workspace: Workspace, tenant_id: str, older_than: int | None, as_json: bool) -> None:
    """Remove revisions that were superseded long ago; the newest of each partition always stays."""
    tenant = workspace.tenant(tenant_id)
    days = tenant.config.exports.keep_revisions_days if older_than is None else older_than
    stores = [store for kind in KINDS if (store := export_store(tenant, kind))]
    gone = sum(len(prune(store, datetime.now(UTC), days)) for store in stores)
    emit({"tenant": tenant_id, "removed_objects": gone}, as_json, lambda: click.echo(f"removed {gone} objects"))


@export.command("verify")
@click.argument("url")
@json_option
def verify_export(url: str, as_json: bool) -> int:
    """Check a partition, a dataset or a whole export; exit 1 with what is wrong."""
    checked, problems = verify(url)
    result = {"url": url, "partitions": len(checked), "ok": not problems, "problems": problems}
    emit(result, as_json, lambda: None if problems else click.echo(f"{len(checked)} partitions are whole"))
    for problem in problems:
        note(problem)
    return 1 if problems else 0
