"""``murmur query``: SQL over the lake's tables by name, with DuckDB, reading only."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click

from pipelines.cli.output import emit, json_option, table, tenant_option
from pipelines.config import Tenant, Workspace
from pipelines.errors import UsageError
from pipelines.lake_sql import selected

#: Columns that fit beside each other in a terminal.
WIDE = 10


@click.command()
@tenant_option
@click.argument("sql")
@json_option
@click.pass_obj
def query(workspace: Workspace, tenant_id: str, sql: str, as_json: bool) -> None:
    """Run one SELECT over the tenant's tables; times are UTC."""
    names, rows = run_query(workspace.tenant(tenant_id), sql)
    emit([dict(zip(names, row, strict=True)) for row in rows], as_json, lambda: _show(names, rows))


def run_query(tenant: Tenant, sql: str) -> tuple[list[str], list[list[Any]]]:
    """Column names and rows of one SELECT.

    Raises:
        UsageError: the SQL is wrong, is several statements, or would change something.
    """
    try:
        with selected(tenant, sql) as answer:
            names, rows = answer.columns, answer.fetchall()
    except UsageError as error:
        raise UsageError(f"query: {error}") from None
    return names, [[_value(value) for value in row] for row in rows]


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        # Sums of whole numbers come back as decimals without places.
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str, date, datetime, dict)):
        return value
    return str(value)


def _show(names: list[str], rows: list[list[Any]]) -> None:
    """A table, or one record below the other where a table would be too wide to read."""
    if len(names) <= WIDE or not rows:
        table(names, rows)
        return
    for number, row in enumerate(rows, start=1):
        table(["column", "value"], zip(names, row, strict=True), title=f"row {number}")
