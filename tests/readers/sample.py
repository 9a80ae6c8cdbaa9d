"""Rows that satisfy a contract and are hard to read: extremes, nulls, quotes, text that looks like numbers."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from schemas.contract import Column, Contract

TEXTS = (
    "plain",
    "",
    "007",
    "1e5",
    "NULL",
    "NaN",
    "a,b",
    'say "so"',
    "two\nlines",
    "Ünïcödé 🐦",
    " spaced ",
    "=1+1",
    "true",
)
NUMBERS = (0, 1, -1, 1500, 2**53 + 1, -(2**63), 2**63 - 1)
RATIOS = (0.0, 0.1, -2.5, 1e-300, 1.7976931348623157e308, 12345678.9)
LISTS = ("[]", '["p1"]', '["a,b","\\"x\\""]', "{}", '{"a":null,"b":1}')
FIRST = datetime(2026, 3, 9, tzinfo=UTC)


def sample(contract: Contract, rows: int = 24, seed: str = "1.0") -> pl.DataFrame:
    """Rows of a contract, the same for the same arguments; key columns are unique."""
    chance = random.Random(f"{contract.name} {seed}")
    data = {column.name: _values(column, column.name in contract.primary_key, rows, chance) for column in contract}
    return pl.DataFrame(data, schema=contract.schema)


def _values(column: Column, key: bool, rows: int, chance: random.Random) -> list[Any]:
    values = [_value(column, place, key, chance) for place in range(rows)]
    if not column.required and not key:
        return [None if place % 3 == 2 else value for place, value in enumerate(values)]
    return values


def _value(column: Column, place: int, key: bool, chance: random.Random) -> Any:
    if column.enum is not None:
        return column.enum[place % len(column.enum)]
    if column.kind in ("string", "json"):
        choices = LISTS if column.kind == "json" else TEXTS
        text = choices[place % len(choices)]
        return f"{text}{place:03d}" if key else text
    if column.kind in ("int64", "quantity"):
        least = column.minimum if column.minimum is not None else -(2**63)
        return max(least, chance.choice(NUMBERS))
    if column.kind == "timestamp":
        return FIRST + timedelta(microseconds=chance.choice((0, 1, 999_999, 3_600_000_000)), minutes=place)
    if column.kind == "date":
        return date(2026, 3, 9) + timedelta(days=place % 2)
    return place % 2 == 0 if column.kind == "boolean" else chance.choice(RATIOS)
