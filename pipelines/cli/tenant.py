"""``murmur tenant``: add and list tenants, and say what the role of one may do."""

from __future__ import annotations

import json

import click
import yaml

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import TENANT_ID, TenantConfig, Workspace, load_yaml
from pipelines.errors import UsageError
from pipelines.exports.target import external_id_of, place_of
from pipelines.storage.objects.policies import bucket_policy, trust_policy


@click.group()
def tenant() -> None:
    """Add and list tenants; policies of a tenant's role."""


@tenant.command("add")
@click.argument("tenant_id", metavar="ID")
@click.option("--timezone", required=True, help="IANA zone whose calendar days are the partitions.")
@click.option("--currency", default="GBP", show_default=True, help="ISO 4217 code.")
@json_option
@click.pass_obj
def add(workspace: Workspace, tenant_id: str, timezone: str, currency: str, as_json: bool) -> None:
    """Make the folder of a new tenant with its tenant.yaml."""
    if not TENANT_ID.match(tenant_id):
        raise UsageError(f"tenant id {tenant_id!r}: use lower-case letters, digits, - and _, a letter first")
    file = workspace.tenants / tenant_id / "tenant.yaml"
    if file.exists():
        raise UsageError(f"tenant {tenant_id!r} is there already: {file}")
    settings = {
        "id": tenant_id,
        "timezone": timezone,
        "currency": currency,
        "exports": {
            "s3": {"bucket": f"{tenant_id}-exports", "prefix": "murmuration"},
            "gcs": {"bucket": f"{tenant_id}-campaigns", "prefix": "daily"},
        },
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    try:
        load_yaml(file, TenantConfig)
    except UsageError:
        file.unlink()
        raise
    emit({"tenant": tenant_id, "file": str(file)}, as_json, lambda: note(f"added {tenant_id}: {file}"))


@tenant.command("list")
@json_option
@click.pass_obj
def list_tenants(workspace: Workspace, as_json: bool) -> None:
    """List the tenants and their zones."""
    rows = [workspace.tenant(tenant_id).config for tenant_id in workspace.tenant_ids()]
    emit(
        [row.model_dump(include={"id", "timezone", "currency"}) for row in rows],
        as_json,
        lambda: table(["tenant", "zone", "currency"], [[r.id, r.timezone, r.currency] for r in rows]),
    )


@tenant.command("aws-policy")
@tenant_option
@click.option("--principal", required=True, metavar="ARN", help="Role or user as which this installation asks AWS.")
@click.pass_obj
def aws_policy(workspace: Workspace, tenant_id: str, principal: str) -> None:
    """Print what the tenant's role needs, as JSON: ``policy`` and ``trust_policy``."""
    tenant = workspace.tenant(tenant_id)
    target, url = tenant.config.exports.s3, tenant.bucket_url("s3")
    if target is None or url is None:
        raise UsageError(f"tenant {tenant_id} has no exports.s3 in its tenant.yaml")
    if not target.external_id_env:
        raise UsageError(
            f"tenant {tenant_id}: exports.s3 names no external_id_env; a role without an external id can be made to"
            " serve others"
        )
    bucket, prefix = place_of(url) if url.startswith("s3://") else (target.bucket, target.prefix.strip("/"))
    policies = {
        "policy": bucket_policy(bucket, prefix),
        "trust_policy": trust_policy(principal, external_id_of(tenant, target)),
    }
    click.echo(json.dumps(policies, indent=2))
