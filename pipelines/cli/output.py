"""How commands print: a rich table for people, JSON for programs. Results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

Function = TypeVar("Function", bound=Callable[..., Any])

DAY = click.DateTime(formats=["%Y-%m-%d"])
#: A column that is too wide for its terminal is folded, but not below this.
NARROW = 8
#: Whoever reads a pipe wants a row to be a line, whatever its length.
PIPE_WIDTH = 10_000
GAP = 2


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
    """Print rows as a table; whole numbers are right-aligned and grouped, no rows are a note."""
    listed = [list(row) for row in rows]
    if not listed:
        note(title or "none")
        return
    cells = [[_cell(value) for value in row] for row in listed]
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(width=PIPE_WIDTH if piped else None, markup=False, highlight=False)
    whole = _whole([[name, *column] for name, *column in zip(columns, *cells, strict=True)], console.width)
    view = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        show_header=any(columns),
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
        box=box.SIMPLE_HEAD,
    )
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | None) for row in listed)
        view.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=whole[index])
    for row_cells in cells:
        view.add_row(*row_cells)
    console.print(view)


def _whole(columns: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Which columns are never folded: from the left, those without spaces that leave room for the others."""
    widths = [max(cell_len(text) for text in column) for column in columns]
    left = width - GAP * (len(columns) - 1) - sum(min(each, NARROW) for each in widths)
    whole = []
    for column, needed in zip(columns, widths, strict=True):
        more = needed - min(needed, NARROW)
        whole.append(more <= left and not any(" " in text for text in column))
        left -= more if whole[-1] else 0
    return whole


def note(message: str) -> None:
    """Say something that is not a result: progress, hints, warnings."""
    click.echo(message, err=True)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (datetime, date)):
        return str(_plain(value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a result may not hold {type(value).__name__}")
