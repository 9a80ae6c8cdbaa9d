"""``murmur run`` and ``murmur status``: bring tables up to date, and say what is there and what is stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipelines import flow
from pipelines.changes import RowChanges
from pipelines.cli.output import DAY, emit, json_option, note, table, tenant_option
from pipelines.config import Workspace
from pipelines.entities.waiting import waiting
from pipelines.freshness import Freshness, reasons
from pipelines.landing.days import days_left_out
from pipelines.step import Step
from schemas.registry import LAKE
from schemas.tables import OPEN_SPANS


@click.command()
@tenant_option
@click.option("--from", "first", type=DAY, help="Earliest day; the first with data where not given.")
@click.option("--to", "last", type=DAY, help="Latest day; the last with data where not given.")
@click.option(
    "--select", multiple=True, metavar="NAME", help="Step, table or group; may be repeated or comma-separated."
)
@click.option("--force", is_flag=True, help="Compute the days even where their inputs are what they were.")
@json_option
@click.pass_obj
def run(
    workspace: Workspace,
    tenant_id: str,
    first: datetime | None,
    last: datetime | None,
    select: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Compute what is out of date, from landing to exports."""
    tenant = workspace.tenant(tenant_id)
    names = [name for value in select for name in value.split(",") if name]
    steps = flow.selected(names)
    with Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=as_json,
    ) as progress:
        task = progress.add_task("starting", total=len(steps))

        def told(step: Step, days: Sequence[date]) -> None:
            span = f" {len(days)} days" if days else ""
            progress.update(task, description=f"{step.name}{span}", completed=steps.index(step))

        outcomes = flow.run(tenant, _day(first), _day(last), names, force=force, on_step=told)
        progress.update(task, description="done", completed=len(steps))
    rows = [row for outcome in outcomes for row in _rows(outcome)]
    emit(rows, as_json, lambda: _print_outcomes(rows))
    for outcome in outcomes:
        for check in outcome.checks:
            if not check.passed:
                evidence = ", ".join(f"{name} {value}" for name, value in check.evidence.items())
                note(f"warning: {check.name} does not hold: {check.description} ({evidence})")


@click.command()
@tenant_option
@json_option
@click.pass_obj
def status(workspace: Workspace, tenant_id: str, as_json: bool) -> None:
    """Show each table: days, rows, the days whose inputs have changed since; and the records that are waited for."""
    tenant = workspace.tenant(tenant_id)
    freshness = Freshness(tenant)
    available = freshness.available_days()
    rows = [row for step in flow.STEPS for row in _state(freshness, step, available)]
    if not freshness.anything_landed():
        note(f"nothing has been received yet: murmur ingest --tenant {tenant_id} --entity ENTITY FILE")
    if left := days_left_out(tenant):
        gap = tenant.config.longest_gap_days
        note(
            f"days with records that are not computed: {_spans(left)}; more than {gap} days without any lie between"
            " them and the others; longest_gap_days in tenant.yaml says how many may"
        )
    waited = waiting(tenant)
    emit({"tables": rows, "waiting": waited}, as_json, lambda: _print_status(rows, waited))


def _reasons(counts: dict[str, int]) -> str:
    return "; ".join(f"{text} ({count})" for text, count in counts.items())


def _print_status(rows: list[dict[str, Any]], waited: list[dict[str, Any]]) -> None:
    columns = ["stage", "table", "first_day", "last_day", "rows", "stale_days"]
    shown = [[*(row[name] for name in columns), _spans(row["stale"]) or row["whole"]] for row in rows]
    table([*columns, "which"], shown)
    for row in rows:
        if row["stale_because"]:
            note(f"{row['table']} is stale: {_reasons(row['stale_because'])}")
    if waited:
        click.echo()
        columns = ["waits_for", "missing", "rows", "days", "oldest"]
        blocked = [", ".join(f"{money:,} {code}" for code, money in row["blocked_minor"].items()) for row in waited]
        lines = [[*(row[name] for name in columns), text or None] for row, text in zip(waited, blocked, strict=True)]
        table([*columns, "blocked_minor"], lines, title="records that have not arrived, and what waits for them")


def _spans(days: Sequence[date], most: int = 3) -> str | None:
    """Days as spans, such as ``2025-10-24, 2025-10-26..2025-10-28``, the first few of them."""
    spans: list[list[date]] = []
    for day in days:
        if spans and (day - spans[-1][1]).days == 1:
            spans[-1][1] = day
        else:
            spans.append([day, day])
    texts = [str(first) if first == last else f"{first}..{last}" for first, last in spans[:most]]
    return ", ".join([*texts, *(["..."] if len(spans) > most else [])]) or None


def _state(freshness: Freshness, step: Step, available: Sequence[date]) -> list[dict[str, Any]]:
    """One row for each output; how many rows an export has is in its manifests, which are not read here."""
    lake = freshness.tenant.lake
    stale = freshness.stale(step, available)
    due = not step.partitioned and freshness.due(step, available)
    because = Counter(reasons(freshness, step, stale).values())
    computed = freshness.computed_days(step) if step.partitioned else []
    found = []
    for output in step.outputs:
        counted = lake.rows(output) if lake.exists(output) else {}
        days = sorted(day for day in counted if day and day != OPEN_SPANS) if output in LAKE else computed
        found.append(
            {
                "stage": step.group,
                "table": output,
                "first_day": days[0] if days else None,
                "last_day": days[-1] if days else None,
                "rows": sum(counted.values()) if output in LAKE else None,
                "stale_days": len(stale) if step.partitioned else int(due),
                "stale_because": dict(because.most_common()),
                "stale": stale if step.partitioned else [],
                "whole": "all" if due and not step.partitioned else None,
            }
        )
    return found


def _rows(outcome: flow.Outcome) -> list[dict[str, Any]]:
    failed = [check.name for check in outcome.checks if not check.passed]
    if not outcome.commits:
        nothing = {"days": 0, "rows": 0, "changed": 0, **_changes([]), "partitions_skipped_equal": 0}
        return [{"step": outcome.step.name, "table": None, **nothing, "recompute_reason": {}, "failed_checks": failed}]
    because = dict(Counter(outcome.work.reasons.values()).most_common())
    return [
        {
            "step": outcome.step.name,
            "table": commit.table,
            "days": len(outcome.days),
            "rows": sum(commit.rows.values()),
            "changed": len(commit.changed),
            **_changes(outcome.work.changes.get(commit.table, {}).values()),
            "partitions_skipped_equal": len(commit.equal) + len(outcome.work.skipped),
            "recompute_reason": because,
            "failed_checks": failed,
        }
        for commit in outcome.commits.values()
    ]


def _changes(found: Iterable[RowChanges]) -> dict[str, int | bool]:
    """Rows that differ, and whether it is exactly so many: of large partitions the least number is known."""
    listed = list(found)
    return {
        "rows_changed": sum(each.total for each in listed),
        "rows_changed_exact": all(each.exact for each in listed),
    }


def _print_outcomes(rows: list[dict[str, Any]]) -> None:
    columns = ["step", "table", "days", "rows", "changed", "rows_changed", "skipped_equal"]
    done = [row for row in rows if row["table"]]
    if done:
        # A table without partitions is computed over no days.
        shown = [
            {
                **row,
                "days": row["days"] or None,
                "rows_changed": row["rows_changed"] if row["rows_changed_exact"] else f">= {row['rows_changed']}",
                "skipped_equal": row["partitions_skipped_equal"],
            }
            for row in done
        ]
        table(columns, [[row[name] for name in columns] for row in shown])
        for step, because in {row["step"]: row["recompute_reason"] for row in done}.items():
            note(f"{step}: {_reasons(because)}")
    else:
        note("everything is up to date")


def _day(value: datetime | None) -> date | None:
    return value.date() if value else None
