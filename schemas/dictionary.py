"""What people and programs read about the contracts: a JSON Schema of each dataset and file, and the data dictionary.

Both are made from the contracts; example rows are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.contract import Column, Contract
from schemas.exports import CSV_FILES, DATASETS

Rows = Sequence[Mapping[str, Any]]

HEAD = """# Data dictionary

Every column of the [exports](exports.md), in file order, with an example. The same as JSON Schema, with whole rows, is
in [schemas](schemas). What may change, and how, is in [Contracts](contracts.md). This page is made by `make docs`.
"""

#: Kind -> type in Parquet, and text in CSV.
TYPES: dict[str, tuple[str, str]] = {
    "string": ("STRING", "text"),
    "int64": ("INT64", "whole number"),
    "quantity": ("INT64, thousandths", "decimal number"),
    "boolean": ("BOOLEAN", "true or false"),
    "date": ("DATE", "YYYY-MM-DD"),
    "timestamp": ("TIMESTAMP, µs, UTC", "RFC 3339, UTC"),
    "ratio": ("DOUBLE", "decimal number"),
    "json": ("STRING, JSON", "JSON"),
}
_JSON: dict[str, dict[str, str]] = {
    "string": {"type": "string"},
    "int64": {"type": "integer"},
    "quantity": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "ratio": {"type": "number"},
    "json": {"type": "string", "contentMediaType": "application/json"},
}


def json_schema(contract: Contract, examples: Rows) -> dict[str, Any]:
    """JSON Schema (2020-12) of a row; columns that a later minor version adds are allowed."""
    csv = contract.name in CSV_FILES
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:murmuration:{contract.name}:{contract.version}",
        "title": contract.name,
        "description": contract.description,
        "type": "object",
        "properties": {column.name: _property(column, csv=csv) for column in contract},
        "required": [column.name for column in contract if column.required],
        "additionalProperties": True,
        "x-version": contract.version,
        "x-primary-key": list(contract.primary_key),
        "examples": [dict(row) for row in examples],
    }


def _property(column: Column, *, csv: bool) -> dict[str, Any]:
    shown: dict[str, Any] = dict(_JSON[column.kind])
    if csv and column.kind == "quantity":
        shown["type"] = "number"
    if not column.required:
        shown["type"] = [shown["type"], "null"]
    if column.enum is not None:
        shown["enum"] = [*column.enum, *([] if column.required else [None])]
    if column.minimum is not None:
        shown["minimum"] = column.minimum
    return {**shown, "description": column.description, "x-type": _type(column, csv=csv), "x-since": column.since}


def _type(column: Column, *, csv: bool) -> str:
    return TYPES[column.kind][csv]


def page(examples: Mapping[str, Rows]) -> str:
    """The data dictionary in Markdown.

    Args:
        examples: rows by dataset or file.
    """
    parts = [HEAD, "## Parquet datasets\n"]
    parts += [_section(contract, examples[contract.name]) for contract in DATASETS.values()]
    parts.append("## CSV files\n")
    parts += [_section(contract, examples[contract.name]) for contract in CSV_FILES.values()]
    return "\n".join(parts)


def _section(contract: Contract, rows: Rows) -> str:
    csv = contract.name in CSV_FILES
    key = ", ".join(f"`{name}`" for name in contract.primary_key)
    lines = [
        f"### {contract.name}\n",
        f"{contract.description} Version {contract.version}, key {key}.\n",
        "| column | type | null | meaning | example |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_row(column, contract.primary_key, rows, csv=csv) for column in contract]
    return "\n".join([*lines, ""])


def _row(column: Column, key: Sequence[str], rows: Rows, *, csv: bool) -> str:
    null = "no" if column.required else "in the key" if column.name in key else "yes"
    meaning = column.description
    if column.enum is not None:
        meaning += f" One of {', '.join(f'`{value}`' for value in column.enum)}."
    if column.since != "1.0":
        meaning += f" Since {column.since}."
    example = next((row[column.name] for row in rows if row.get(column.name) is not None), None)
    shown = "" if example is None else f"`{_cell(example)}`"
    return f"| `{column.name}` | {_type(column, csv=csv)} | {null} | {meaning.replace('|', chr(92) + '|')} | {shown} |"


def _cell(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return short.replace("|", "\\|").replace("`", "'")
