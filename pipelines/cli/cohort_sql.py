"""``murmur cohort sql``: a cohort as one SELECT that ``murmur query`` runs."""

from __future__ import annotations

from datetime import datetime
from textwrap import wrap

import click

from pipelines.cli.output import DAY, emit, json_option, tenant_option
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.sql.compile import members_sql
from pipelines.config import Workspace
from pipelines.errors import UsageError


@click.command()
@click.argument("cohort_id", metavar="COHORT")
@tenant_option
@click.option("--as-of", "as_of", type=DAY, help="Tenant day; the newest computed one where not given.")
@json_option
@click.pass_obj
def sql(workspace: Workspace, cohort_id: str, tenant_id: str, as_of: datetime | None, as_json: bool) -> None:
    """Print the SELECT of a cohort's members at the end of a day, to read or to give to murmur query."""
    tenant = workspace.tenant(tenant_id)
    found = cohorts(tenant)
    if cohort_id not in found:
        raise UsageError(f"cohort {cohort_id!r} is not there; cohorts: {', '.join(found)}")
    days = tenant.lake.days("cohort_sizes")
    if as_of is None and not days:
        raise UsageError(f"cohorts of any day were not computed; give --as-of or run: murmur run --tenant {tenant_id}")
    day = as_of.date() if as_of else days[-1]
    text = members_sql(cohort_id, found, day, tenant.zone, tenant.config.currency)
    said = [f"{cohort_id} at the end of {day}.", *wrap(found[cohort_id].description, 110)]
    shown = "\n".join([*(f"-- {line}" for line in said), text])
    emit({"cohort_id": cohort_id, "date": day, "sql": shown}, as_json, lambda: click.echo(shown))
