"""Rows as plain values that compare across readers: instants in UTC, days and numbers as they are. Needs no library."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any


def plain(value: Any) -> Any:
    """A cell as JSON can hold it, with its type still visible."""
    if isinstance(value, datetime):
        instant = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return f"at {instant.isoformat()}"
    if isinstance(value, date):
        return f"day {value.isoformat()}"
    return repr(value) if isinstance(value, float) else value


def plain_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with plain cells, in an order of their own."""
    return sorted(({name: plain(cell) for name, cell in row.items()} for row in rows), key=repr)
