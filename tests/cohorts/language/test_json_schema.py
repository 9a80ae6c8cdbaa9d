"""The schema for editors takes every file of the catalogue and refuses what it can see to be wrong."""

from __future__ import annotations

import copy

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipelines.cohorts.language.json_schema import json_schema
from pipelines.cohorts.language.reading import shipped_files

SCHEMA = json_schema()
FILES = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in shipped_files()}


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", FILES)
def test_the_catalogue_fits(name):
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(FILES[name])] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["rule"]["value"].update(count="ordr"),
        lambda data: data["rule"]["value"].update(wihtin="$window"),
        lambda data: data["rule"]["value"].update(where={"sied": "outlet"}),
        lambda data: data["rule"].update(at_least=3),
        lambda data: data.update(evaluate="daily"),
        lambda data: data.update(for_each="shop"),
        lambda data: data["params"]["orders"].update(unit="cuont"),
        lambda data: data.pop("rule"),
    ],
)
def test_mistakes_do_not_fit(change):
    data = copy.deepcopy(FILES["repeat_purchaser"])
    change(data)
    assert not Draft202012Validator(SCHEMA).is_valid(data)


def test_signals_of_products_fit_any_state():
    data = copy.deepcopy(FILES["repeat_purchaser"])
    data["rule"]["value"]["where"] = {"signal.demand_state": "hot"}
    assert Draft202012Validator(SCHEMA).is_valid(data)


def test_models_and_their_keys_are_described():
    assert all(each.get("description") for each in SCHEMA["$defs"].values())
    assert "half" not in SCHEMA["description"] and SCHEMA["properties"]["ttl"]["description"].startswith("longest")
    assert SCHEMA["properties"]["params"]["description"].startswith("thresholds")
    assert SCHEMA["$defs"]["Then"]["properties"]["lasts"]["description"] == "true until so long after the first event."
