"""``murmur erase``: remove a person from the vault and the tables, for good."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from datetime import UTC, datetime

import click

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import Workspace
from pipelines.entities.erase import Erased
from pipelines.entities.erase import erase as erase_customer


@click.command()
@tenant_option
@click.argument("customer", metavar="CUSTOMER")
@json_option
@click.pass_obj
def erase(workspace: Workspace, tenant_id: str, customer: str, as_json: bool) -> None:
    """Erase a customer, and every id merged with it: contact details, attributes, what was received of them."""
    tenant = workspace.tenant(tenant_id)
    done = erase_customer(tenant, customer, now=datetime.now(UTC), by=getpass.getuser())
    if done.already:
        note(f"{customer}: erased before; nothing to do")
    emit(asdict(done), as_json, lambda: _show(done))


def _show(done: Erased) -> None:
    table(["erased", "id"], [["customer", each] for each in done.customers])
    if done.removed:
        table(["removed", "count"], [[name.replace("_", " "), count] for name, count in done.removed.items()])
