"""Definitions for tests, written as in a file."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from pipelines.cohorts.language.check import check
from pipelines.cohorts.language.reading import read, shipped_files, states
from pipelines.cohorts.language.rules import Cohort

PARAMS = {
    "n": {"value": 3, "unit": "count"},
    "m": {"value": 2, "unit": "count"},
    "none": {"value": 0, "unit": "count"},
    "money": {"value": 500, "unit": "minor"},
    "share": {"value": 60, "unit": "percent"},
    "over": {"value": 101, "unit": "percent"},
    "ratio": {"value": 1.5, "unit": "ratio"},
    "pieces": {"value": 1.5, "unit": "quantity"},
    "short": {"value": "30m", "unit": "duration"},
    "week": {"value": "7d", "unit": "duration"},
    "month": {"value": "30d", "unit": "duration"},
}


#: States of the catalogue's signals.
STATES = states(None)


@cache
def catalogue() -> dict[str, Cohort]:
    found, problems = read(shipped_files())
    assert not problems
    return found


def cohort(text: str, **more: Any) -> Cohort:
    """A definition from the text of its rule; only parameters that it uses are given."""
    body = {"id": "tried", "subject": "customer", "description": "x", "rule": yaml.safe_load(text), **more}
    used = set(re.findall(r"\$(\w+)", yaml.safe_dump(body)))
    params = {name: param for name, param in PARAMS.items() if name in used}
    return Cohort.model_validate({"params": params, **body})


def problems(text: str, others: dict[str, Cohort] | None = None, **more: Any) -> dict[str, str]:
    """Path -> problem and fix of a definition beside some others."""
    tried = cohort(text, **more)
    found = check({**(others or {}), tried.id: tried}, STATES)
    assert all(problem.file == "tried.yaml" for problem in found)
    return {problem.path: f"{problem.problem}; {problem.fix}" for problem in found}
