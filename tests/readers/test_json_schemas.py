"""The JSON Schemas of docs/schemas, by a validator that is not ours: well formed, met by their examples, and strict."""

from __future__ import annotations

import json

import pytest

from schemas.exports import CSV_FILES, DATASETS
from tests.readers.engines import ROOT, Program

CONTRACTS = {**DATASETS, **CSV_FILES}
SOURCE = """
import json
from jsonschema import Draft202012Validator
schema, rows = json.loads({given!r})
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
answer = [[error.validator for error in validator.iter_errors(row)] for row in rows]
"""


def faults(program: Program, schema: dict, rows: list[dict]) -> list[list[str]]:
    return program.run(SOURCE.format(given=json.dumps([schema, rows])))


@pytest.mark.parametrize("name", CONTRACTS)
def test_rows_are_judged_as_the_contract_says(name, program):
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text())
    contract, row = CONTRACTS[name], schema["examples"][0]
    needed = next(column for column in contract if column.required)
    closed = next((column.name for column in contract if column.enum), None)
    rows = [
        *schema["examples"],
        {**row, "a_column_of_a_later_version": 1},
        {key: value for key, value in row.items() if key != needed.name},
        {**row, needed.name: None},
        {**row, closed or "": "no such value"},
    ]
    found = faults(program, schema, rows)
    shown = len(schema["examples"])
    assert found[: shown + 1] == [[]] * (shown + 1)
    assert found[shown + 1] == ["required"]
    assert "type" in found[shown + 2]
    assert found[shown + 3] == (["enum"] if closed else [])
