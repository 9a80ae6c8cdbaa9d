"""How commands print: a rich table for people, JSON for programs. Results on stdout, everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

Function = TypeVar("Function", bound=Callable[..., Any])

DAY = click.DateTime(formats=["%Y-%m-%d"])


def json_option(function: Function) -> Function:
    """Add ``--json``, given to the command as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def tenant_option(function: Function) -> Function:
    """Add ``--tenant``, required, given to the command as ``tenant_id``."""
    return click.option("--tenant", "tenant_id", required=True, metavar="ID", help="Tenant id.")(function)


def emit(result: Any, as_json: bool, human: Callable[[], None]) -> None:
    """Print ``result`` as JSON, or call ``human`` to print it for a person."""
    if as_json:
        click.echo(json.dumps(result, default=_plain, ensure_ascii=False, indent=2, allow_nan=False))
    else:
        human()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print rows as a table; whole numbers are right-aligned and grouped."""
    listed = [list(row) for row in rows]
    view = Table(title=title, title_justify="left", header_style="bold", show_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[index], int | None) for row in listed)
        view.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        view.add_row(*[_cell(value) for value in row])
    Console(soft_wrap=False).print(view)


def note(message: str) -> None:
    """Say something that is not a result: progress, hints, warnings."""
    click.echo(message, err=True)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a result may not hold {type(value).__name__}")
