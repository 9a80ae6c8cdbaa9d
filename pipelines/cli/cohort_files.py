"""``murmur cohort`` for who writes definitions: what is wrong in files, the schema for editors, the gallery page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipelines.cli.output import emit, json_option, note
from pipelines.cohorts.language.gallery import page
from pipelines.cohorts.language.json_schema import json_schema
from pipelines.cohorts.language.problems import Problem
from pipelines.cohorts.language.reading import validate as validated
from pipelines.config import Workspace
from pipelines.errors import UsageError

WRONG = 2
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=FILE)
@click.option("--tenant", "tenant_id", metavar="ID", help="Check with the tenant's own cohorts and parameters.")
@json_option
@click.pass_context
def validate(ctx: click.Context, files: tuple[Path, ...], tenant_id: str | None, as_json: bool) -> None:
    """Check definitions: the catalogue, a tenant's own, and FILEs that are not saved there yet.

    Every mistake is named with file, place and fix; any makes the exit code 2.
    """
    workspace: Workspace = ctx.obj
    found, problems = validated(workspace.tenant(tenant_id) if tenant_id else None, files)
    tell(problems, {"tenant": tenant_id, "valid": not problems, "cohorts": list(found)}, as_json)
    ctx.exit(WRONG if problems else 0)


def tell(problems: list[Problem], result: dict[str, Any], as_json: bool) -> None:
    """Print the problems of some files with the rest of a result, or that there is none."""

    def human() -> None:
        for problem in problems:
            click.echo(str(problem))
        wrong = len({problem.file for problem in problems})
        told = f"{_many(len(problems), 'problem')} in {_many(wrong, 'file')}"
        note(told if problems else f"{len(result['cohorts'])} cohorts are valid")

    emit({**result, "problems": [asdict(problem) for problem in problems]}, as_json, human)


@click.command()
@click.option("--out", type=FILE, help="Write a file instead of printing.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of cohort files, for completion in editors."""
    _give(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", out)


@click.command()
@click.option("--tenant", "tenant_id", metavar="ID", help="Show the tenant's own cohorts and parameters too.")
@click.option("--out", type=FILE, help="Write a file instead of printing.")
@click.pass_obj
def gallery(workspace: Workspace, tenant_id: str | None, out: Path | None) -> None:
    """Print a Markdown page that shows every cohort: its rule in words and as YAML, its windows, a transition."""
    found, problems = validated(workspace.tenant(tenant_id) if tenant_id else None)
    if problems:
        raise UsageError(f"{problems[0]}; murmur cohort validate lists all")
    _give(page(found), out)


def _give(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    note(f"wrote {out}")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
