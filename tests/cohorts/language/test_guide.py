"""What docs/writing-a-cohort.md shows is right, and it names every word there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipelines.cohorts.language import rules, values
from pipelines.cohorts.language.json_schema import json_schema
from pipelines.cohorts.language.reading import validate

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "writing-a-cohort.md").read_text(encoding="utf-8")


def test_the_example_is_valid(tmp_path):
    [block] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert block.startswith("# yaml-language-server: $schema=")
    file = tmp_path / "warm_buyer.yaml"
    file.write_text(block)
    found, problems = validate(None, [file])
    assert problems == [] and "warm_buyer" in found
    assert Draft202012Validator(json_schema()).is_valid(yaml.safe_load(block))


@pytest.mark.parametrize("word", [key for key, _ in values._KEYS])
def test_every_number_is_named(word):
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize("word", sorted(set(rules._KEYS) - {"property", "signal"}))
def test_every_leaf_is_shown(word):
    assert f"`{{{word}: " in PAGE
