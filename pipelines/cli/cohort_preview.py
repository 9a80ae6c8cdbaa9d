"""``murmur cohort preview``: an unsaved file computed as of a day, without anything being kept or sent."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from pipelines.cli.cohort_files import FILE, WRONG, tell
from pipelines.cli.output import DAY, emit, json_option, note, table, tenant_option
from pipelines.cohorts.language.reading import read
from pipelines.cohorts.language.reading import validate as validated
from pipelines.cohorts.language.words import in_words
from pipelines.cohorts.preview import preview as previewed
from pipelines.config import Tenant, Workspace
from pipelines.errors import UsageError

#: Days between two lines of progress.
_OFTEN = 50


@click.command()
@click.argument("file", type=FILE)
@tenant_option
@click.option("--as-of", "as_of", type=DAY, help="Tenant day; the newest computed one where not given.")
@click.option("--sample", type=click.IntRange(0, 1000), default=10, show_default=True, help="Members to show.")
@json_option
@click.pass_context
def preview(ctx: click.Context, file: Path, tenant_id: str, as_of: datetime | None, sample: int, as_json: bool) -> None:
    """Compute a cohort that is not saved yet as of a day: size, a sample of members, overlap with other cohorts.

    Nothing is stored or sent. A file with mistakes is refused as by murmur cohort validate, with exit code 2.
    """
    workspace: Workspace = ctx.obj
    tenant = workspace.tenant(tenant_id)
    definitions, problems = validated(tenant, [file])
    if problems:
        tell(problems, {"tenant": tenant_id, "valid": False}, as_json)
        ctx.exit(WRONG)
    day = computed_day(tenant, as_of)
    cohort = definitions[next(iter(read([file])[0]))]
    note(f"computing {cohort.id} as of {day}")
    began = perf_counter()
    found = previewed(tenant, definitions, cohort.id, day, sample, _progress())
    seconds = round(perf_counter() - began, 2)
    result = {
        "cohort_id": cohort.id,
        "definition_version": found.version,
        "subject": cohort.subject,
        "as_of": day,
        "rule": in_words(cohort),
        "size": found.size,
        "seconds": seconds,
        "sizes": found.sizes,
        "sample": found.sample,
        "overlap": found.overlap,
    }
    emit(result, as_json, lambda: _print(result, bool(cohort.for_each)))


def computed_day(tenant: Tenant, as_of: datetime | None) -> date:
    """The day that is asked for, or the newest.

    Raises:
        UsageError: its cohorts were not computed.
    """
    days = tenant.lake.days("cohort_membership")
    day = as_of.date() if as_of else days[-1] if days else None
    if day is None or day not in days:
        raise UsageError(f"cohorts of {day or 'any day'} were not computed; run: murmur run --tenant {tenant.id}")
    return day


def _progress() -> Any:
    passed: list[date] = []

    def reached(day: date) -> None:
        passed.append(day)
        if len(passed) % _OFTEN == 0:
            note(f"{len(passed)} days, at {day}")

    return reached


def _print(result: dict[str, Any], family: bool) -> None:
    names = ("cohort_id", "definition_version", "as_of", "rule", "size", "seconds")
    table(["", ""], [[name, result[name]] for name in names])
    if family:
        click.echo()
        _rows(result["sizes"], "sizes by key")
    click.echo()
    _rows(result["sample"], "some members" if result["sample"] else "no members to show")
    click.echo()
    overlap = [{**row, "share": f"{row['share']}%"} for row in result["overlap"]]
    _rows(overlap, "members who are in other cohorts" if overlap else "none of them is in another cohort")


def _rows(rows: list[dict[str, Any]], title: str) -> None:
    table(list(rows[0]) if rows else [], [list(row.values()) for row in rows], title)
