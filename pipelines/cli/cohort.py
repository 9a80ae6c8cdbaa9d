"""``murmur cohort``: list, validate and explain the cohorts of a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
import polars as pl

from pipelines.calendar import day_of
from pipelines.cli import cohort_asof, cohort_diff
from pipelines.cli.cohort_files import gallery, schema, validate
from pipelines.cli.cohort_sql import sql
from pipelines.cli.output import DAY, emit, json_option, table, tenant_option
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.explain import explain as explained
from pipelines.cohorts.language.words import in_words
from pipelines.config import Tenant, Workspace
from pipelines.errors import UsageError


@click.group()
def cohort() -> None:
    """List, validate and explain cohorts, and ask who was in them."""


_ASOF = (cohort_asof.list_members, cohort_asof.history, cohort_asof.verify)
for _command in (*_ASOF, cohort_diff.diff, cohort_diff.preview, validate, schema, gallery, sql):
    cohort.add_command(_command)


@cohort.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_cohorts(workspace: Workspace, tenant_id: str, as_json: bool) -> None:
    """List the cohorts with their rule, version and newest size."""
    tenant = workspace.tenant(tenant_id)
    day, sizes = _newest_sizes(tenant)
    rows = [
        {
            "cohort_id": each.id,
            "subject": each.subject,
            "rule": in_words(each),
            "definition_version": each.definition_version,
            "size": sizes.get((each.id, each.definition_version)),
            "date": day,
        }
        for each in cohorts(tenant).values()
    ]
    columns = ["cohort_id", "subject", "size", "definition_version", "rule"]
    shown = ["cohort", "subject", "size", "version", "rule"]
    title = f"size on {day}" if day else "no day was computed yet"
    emit(rows, as_json, lambda: table(shown, [[row[name] for name in columns] for row in rows], title))


@cohort.command("explain")
@click.argument("cohort_id", metavar="COHORT")
@click.argument("subject")
@tenant_option
@click.option("--as-of", "as_of", type=DAY, help="Tenant day; the newest computed one where not given.")
@json_option
@click.pass_obj
def explain(
    workspace: Workspace, cohort_id: str, subject: str, tenant_id: str, as_of: datetime | None, as_json: bool
) -> None:
    """Say why a visitor or customer is in a cohort at the end of a day, or what is missing first."""
    tenant = workspace.tenant(tenant_id)
    definitions = cohorts(tenant)
    if cohort_id not in definitions:
        raise UsageError(f"cohort {cohort_id!r} is not there; cohorts: {', '.join(definitions)}")
    newest, _ = _newest_sizes(tenant)
    day = as_of.date() if as_of else newest
    if day is None or day not in tenant.lake.days("cohort_membership"):
        raise UsageError(f"cohorts of {day or 'any day'} were not computed; run: murmur run --tenant {tenant_id}")
    result = explained(tenant, definitions[cohort_id], subject, day_of(day, tenant.zone))
    emit(result, as_json, lambda: _print(result))


def _print(result: dict[str, Any]) -> None:
    table(["", ""], [[name, value] for name, value in result.items() if name != "evidence"])
    evidence = result["evidence"]
    if evidence:
        table(list(evidence[0]), [list(row.values()) for row in evidence], "evidence")


def _newest_sizes(tenant: Tenant) -> tuple[Any, dict[tuple[str, str], int]]:
    days = tenant.lake.days("cohort_sizes")
    if not days:
        return None, {}
    rows = tenant.lake.scan("cohort_sizes", days[-1:]).select(
        pl.struct("cohort_id", "definition_version").alias("key"), "size"
    )
    return days[-1], {(row["cohort_id"], row["definition_version"]): size for row, size in rows.collect().iter_rows()}
