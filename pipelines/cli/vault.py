"""``murmur vault``: what is done to the vault as a whole. Nothing here shows what is in it."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from pipelines.cli.output import emit, json_option, table, tenant_option
from pipelines.config import Workspace
from pipelines.landing import retention


@click.group()
def vault() -> None:
    """Keep the vault in order."""


@vault.command()
@tenant_option
@json_option
@click.pass_obj
def purge(workspace: Workspace, tenant_id: str, as_json: bool) -> None:
    """Remove received bytes that are older than raw_retention_days of tenant.yaml, and what killed runs left."""
    done = retention.purge(workspace.tenant(tenant_id), datetime.now(UTC))
    rows = [
        ["received files removed", done["raw"]],
        ["files of refused rows removed", done["quarantine"]],
        ["files of refused rows that still wait", done["waiting"]],
        ["files of killed runs removed", done["abandoned"]],
        ["bytes freed", done["bytes"]],
    ]
    emit(done, as_json, lambda: table(["vault", "count"], rows))
