"""The pages that are made from the contracts are those of the contracts as they are, and their examples are rows."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.cli.schema_pages import CONTRACTS, known_examples, write_pages
from schemas.contract import Column

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONTACT = re.compile(r"[\w.]+@[\w.]+|\+\d[\d ]{8,}")


def test_the_pages_are_up_to_date(tmp_path):
    for path in write_pages(tmp_path, known_examples(DOCS)):
        kept = DOCS / path.relative_to(tmp_path)
        assert kept.read_text() == path.read_text(), f"{kept.name} is not that of the contracts; run make docs"
    assert len(list((DOCS / "schemas").glob("*.json"))) == len(CONTRACTS)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_column_says_what_it_means(name):
    assert [column.name for column in CONTRACTS[name] if not column.description.endswith(".")] == []


@pytest.mark.parametrize("name", CONTRACTS)
def test_examples_are_rows_of_the_contract(name):
    contract = CONTRACTS[name]
    rows = known_examples(DOCS)[name]
    assert rows
    assert all(list(row) == contract.names for row in rows)
    typed = [{column.name: value_of(column, row[column.name]) for column in contract} for row in rows]
    assert not contract.is_violated(pl.DataFrame(typed, schema=contract.schema))


def value_of(column: Column, value):
    if value is None:
        return None
    if column.kind == "date":
        return date.fromisoformat(value)
    if column.kind == "quantity":
        return round(value * 1000) if isinstance(value, float) else value
    return datetime.fromisoformat(value) if column.kind == "timestamp" else value


def test_nobody_can_be_reached_by_what_is_shown():
    for path in [DOCS / "data-dictionary.md", *(DOCS / "schemas").glob("*.json")]:
        assert CONTACT.findall(path.read_text()) == [], path.name


def test_a_column_that_is_added_changes_the_pages(tmp_path, monkeypatch):
    more = CONTRACTS["opt_outs"].extended(
        Column("reached_by", "string", description="How.", since="1.1"), version="1.1"
    )
    monkeypatch.setitem(CONTRACTS, "opt_outs", more)
    examples = {**known_examples(DOCS), "opt_outs": []}
    write_pages(tmp_path, examples)
    shown = json.loads((tmp_path / "schemas" / "opt_outs.json").read_text())
    assert shown["properties"]["reached_by"]["x-since"] == shown["x-version"] == "1.1"


def test_the_pages_that_are_linked_exist():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (DOCS / target).exists(), f"{page.name} links to {target}"
