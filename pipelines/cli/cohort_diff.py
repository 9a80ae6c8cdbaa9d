"""``murmur cohort diff``: what another definition would come to. Nothing is published or sent."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl

from pipelines.cli.output import DAY, emit, json_option, table, tenant_option
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.history import compare
from pipelines.cohorts.history.checks import newest_day
from pipelines.cohorts.history.compare import Side
from pipelines.config import Tenant, Workspace
from pipelines.errors import UsageError

SAMPLE = 10
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
as_of_option = click.option("--as-of", "as_of", type=DAY, help="Tenant day; the newest computed one by default.")
sample_option = click.option("--sample", default=SAMPLE, show_default=True, help="Subjects shown of each kind.")


@click.command("diff")
@click.argument("cohort_id", metavar="COHORT")
@click.argument("file", required=False, type=_FILE)
@click.option("--versions", nargs=2, metavar="A B", help="Compare two registered versions.")
@tenant_option
@as_of_option
@sample_option
@json_option
@click.pass_obj
def diff(
    workspace: Workspace,
    cohort_id: str,
    file: Path | None,
    versions: tuple[str, str] | None,
    tenant_id: str,
    as_of: datetime | None,
    sample: int,
    as_json: bool,
) -> None:
    """Show who would enter and leave if another definition counted: one in FILE, or the tenant's present one."""
    if file and versions:
        raise UsageError("give a file or --versions, not both")
    tenant = workspace.tenant(tenant_id)
    day = _day(tenant, as_of)
    left, right = _sides(tenant, cohort_id, file, versions, day)
    found = compare.difference(left, right)
    result = {
        "cohort_id": cohort_id,
        "as_of": day,
        "from": {"definition_version": left.version, "size": left.members.height},
        "to": {"definition_version": right.version, "size": right.members.height},
        "enter": _part(found.enter, sample),
        "leave": _part(found.leave, sample),
        "stay": found.stay.height,
    }
    emit(result, as_json, lambda: _print_diff(result))


def _sides(
    tenant: Tenant, cohort_id: str, file: Path | None, versions: tuple[str, str] | None, day: date
) -> tuple[Side, Side]:
    if versions:
        one, other = (compare.of_version(tenant, cohort_id, version, day) for version in versions)
        return one, other
    left = compare.of_version(tenant, cohort_id, compare.counting_version(tenant, cohort_id, day), day)
    if file is None:
        present = cohorts(tenant)
        if cohort_id not in present:
            raise UsageError(f"cohort {cohort_id!r} is not there; cohorts: {', '.join(sorted(present))}")
        return left, compare.of_definition(tenant, present[cohort_id], day)
    wanted = compare.from_file(tenant, file)
    if wanted.id != cohort_id:
        raise UsageError(f"{file}: id: is {wanted.id!r}, which is not {cohort_id!r}; make them equal")
    return left, compare.of_definition(tenant, wanted, day)


def _part(rows: pl.DataFrame, sample: int) -> dict[str, Any]:
    return {"count": rows.height, "sample": rows.head(sample).select("cohort_id", "subject", "entered_at").to_dicts()}


def _print_diff(result: dict[str, Any]) -> None:
    rows = [["size now", result["from"]["size"]], ["size then", result["to"]["size"]]]
    rows += [["would enter", result["enter"]["count"]], ["would leave", result["leave"]["count"]]]
    rows += [["would stay", result["stay"]]]
    versions = f"{result['from']['definition_version']} and {result['to']['definition_version']}"
    table(["", "members"], rows, f"{result['cohort_id']} at the end of {result['as_of']}, definitions {versions}")
    shown = [[name, *row.values()] for name in ("enter", "leave") for row in result[name]["sample"]]
    if shown:
        click.echo()
        table(["would", "cohort", "subject", "entered at"], shown, "some of them")


def _day(tenant: Tenant, as_of: datetime | None) -> date:
    day = as_of.date() if as_of else newest_day(tenant.lake)
    if day is None or day not in tenant.lake.days("cohort_membership"):
        raise UsageError(f"cohorts of {day or 'any day'} were not computed; run: murmur run --tenant {tenant.id}")
    return day
