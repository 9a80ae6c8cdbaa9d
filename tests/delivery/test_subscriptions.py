from __future__ import annotations

from typing import Any

import pytest

from pipelines.delivery.subscriptions import check_filters, check_types, matches
from pipelines.errors import UsageError

DATA = {
    "cohort_id": "cart_abandoner",
    "cart_total_value_minor": 24950,
    "cart_total_value": "249.50",
    "flockr_vid": None,
}


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["cohort.entered"], True),
        (["cohort.exited"], False),
        (["cohort.*"], True),
        (["*"], True),
        (["signal.*", "cohort.entered"], True),
        (["coho.*"], False),
    ],
)
def test_types_and_patterns(patterns: list[str], wanted: bool) -> None:
    assert matches(patterns, {}, "cohort.entered", DATA) is wanted


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"cohort_id": ["cart_abandoner", "lapsed_shopper"]}, True),
        ({"cohort_id": ["lapsed_shopper"]}, False),
        ({"cohort_id": "cart_abandoner"}, True),
        ({"cart_total_value_minor": {"gte": 24950}}, True),
        ({"cart_total_value_minor": {"gt": 24950}}, False),
        ({"cart_total_value_minor": {"gte": 20000, "lt": 24000}}, False),
        ({"cart_total_value": {"gt": 99.99}}, True),
        ({"cart_total_value": {"lte": 249.5}}, True),
        ({"cohort_id": {"in": ["cart_abandoner"]}}, True),
        ({"cohort_id": {"ne": "cart_abandoner"}}, False),
        ({"cohort_id": {"gt": 5}}, False),
        ({"flockr_vid": {"ne": "x"}}, False),
        ({"no_such_field": ["x"]}, False),
        ({"cohort_id": ["cart_abandoner"], "cart_total_value_minor": {"gt": 1}}, True),
    ],
)
def test_filters(filters: dict[str, Any], wanted: bool) -> None:
    assert matches(["*"], filters, "cohort.entered", DATA) is wanted


@pytest.mark.parametrize("patterns", [["cohort.entred"], ["nothing.*"], []])
def test_types_that_match_nothing_are_refused(patterns: list[str]) -> None:
    with pytest.raises(UsageError):
        check_types(patterns)


@pytest.mark.parametrize("filters", [{"a": {"above": 1}}, {"a": {"in": 1}}, {"a": {"gt": [1]}}])
def test_comparisons_that_do_not_exist_are_refused(filters: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        check_filters(filters)
