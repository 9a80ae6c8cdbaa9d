"""``murmur cohort``: list, validate and explain the cohorts of a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
import polars as pl

from pipelines.calendar import day_of
from pipelines.cli import cohort_asof
from pipelines.cli.cohort_diff import diff
from pipelines.cli.cohort_files import gallery, schema, validate
from pipelines.cli.cohort_preview import computed_day, preview
from pipelines.cli.cohort_sql import sql
from pipelines.cli.output import DAY, emit, json_option, table, tenant_option
from pipelines.cli.query import run_query
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.explain.published import definitions_on
from pipelines.cohorts.explain.subject import cohort_of
from pipelines.cohorts.explain.subject import explain as explained
from pipelines.cohorts.language.words import in_words
from pipelines.config import Tenant, Workspace


@click.group()
def cohort() -> None:
    """List, validate and explain cohorts, and ask who was in them."""


_ASOF = (cohort_asof.list_members, cohort_asof.history, cohort_asof.verify)
for _command in (*_ASOF, diff, preview, validate, schema, gallery, sql):
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
            "size": sizes.get((each.id, each.definition_version), 0 if day and each.for_each else None),
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
    """Say why a visitor or customer is in a cohort at the end of a day, or what is missing first.

    Of a family name one cohort: <id>:<key>.
    """
    tenant = workspace.tenant(tenant_id)
    present = cohorts(tenant)
    name = cohort_id.partition(":")[0]
    if name in present:
        cohort_of(present, cohort_id)
    day = computed_day(tenant, as_of)
    definitions = definitions_on(tenant, present, name, day)
    asked = day_of(day, tenant.zone)
    result = explained(tenant, definitions, cohort_id, subject, asked, lambda sql: run_query(tenant, sql)[1])
    emit(result, as_json, lambda: _print(result))


def _print(result: dict[str, Any]) -> None:
    left = result["left"]
    told = {**result, "left": left and f"{_written(left['at'])} because of {left['because']}"}
    hidden = ("tree", "evidence", "evidence_count")
    table(["", ""], [[name, value] for name, value in told.items() if name not in hidden and value is not None])
    click.echo()
    table(["met", "part", "how it stands"], _lines(result["tree"], 0))
    evidence, count = result["evidence"], result["evidence_count"]
    if evidence:
        click.echo()
        title = (
            f"evidence: the newest {len(evidence)} of {count:,}" if count > len(evidence) else f"evidence: {count:,}"
        )
        table(list(evidence[0]), [list(row.values()) for row in evidence], title)


def _lines(part: dict[str, Any], depth: int) -> list[list[Any]]:
    """A part and all within it, indented; what must not hold says so."""
    must = "" if part["wanted"] else "not: "
    words = part.get("words") or {"all": "all of", "any": "any of", "none": "none of"}[part["kind"]]
    lines = [[part["holds"] == part["wanted"], "  " * depth + must + words, part.get("stands") or ""]]
    lines += [["", "  " * (depth + 1) + each["words"], _number(each["value"])] for each in part.get("terms", [])]
    return [*lines, *(line for each in part.get("parts", []) for line in _lines(each, depth + 1))]


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _newest_sizes(tenant: Tenant) -> tuple[Any, dict[tuple[str, str], int]]:
    days = tenant.lake.days("cohort_sizes")
    if not days:
        return None, {}
    # A family is listed once, with the memberships of all its cohorts.
    family = pl.col("cohort_id").str.split(":").list.first().alias("cohort_id")
    rows = tenant.lake.scan("cohort_sizes", days[-1:]).select(family, "definition_version", "size")
    summed = rows.group_by("cohort_id", "definition_version").agg(pl.col("size").sum()).collect()
    return days[-1], {(cohort, version): size for cohort, version, size in summed.iter_rows()}
