"""Versions: equal meaning gives equal versions, every change of meaning another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cohorts.language.canonical import canonical, definition_version
from pipelines.cohorts.language.rules import Cohort
from tests.cohorts.language.support import catalogue, cohort

DAY = {"evaluate": "day"}
BASE = "{all: [{value: {count: order, within: $week}, at_least: $n}, {cohort: vip}]}"


def version(rule, **more):
    return definition_version(cohort(rule, **more))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BASE, "{all: [{cohort: vip}, {at_least: $n, value: {within: $week, count: order}}]}"),
        (BASE, "{all: [{cohort: vip}, {cohort: vip}, {value: {count: order, within: $week}, at_least: $n}]}"),
        (BASE, "{all: [{all: [{cohort: vip}]}, {any: [{value: {count: order, within: $week}, at_least: $n}]}]}"),
        ("{none: [{cohort: a}, {cohort: b}]}", "{none: [{cohort: b}, {cohort: a}]}"),
        (
            "{value: {add: [{count: order}, {times: [$n, {count: link_click}]}]}, at_least: $n}",
            "{value: {add: [{times: [{count: link_click}, $n]}, {count: order}]}, at_least: $n}",
        ),
        (
            "{value: {count: order, where: {side: {any_in: [a, b]}}, over_all: false}, at_least: $n}",
            "{value: {count: order, where: {side: {any_in: [b, a, a]}}}, at_least: $n}",
        ),
        (
            "{first: {event: [view, add]}, then: {event: [buy]}, same: x, until: [{event: [a]}, {event: [b]}]}",
            "{first: {event: [add, view]}, then: {event: [buy]}, same: x, until: [{event: [b]}, {event: [a]}]}",
        ),
    ],
)
def test_what_means_the_same_has_one_version(one, other):
    assert canonical(cohort(one)) == canonical(cohort(other))
    assert version(one) == version(other)


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        (BASE.replace("$n", "$m"), {}),
        (BASE.replace("$week", "$month"), {}),
        (BASE.replace("all:", "any:"), {}),
        (BASE.replace("at_least", "more_than"), {}),
        (BASE.replace("vip", "vop"), {}),
        (BASE, DAY),
        (BASE, {"ttl": "$week"}),
        (BASE, {"subject": "visitor"}),
        (BASE, {"id": "other"}),
        (BASE, {"context": {"orders": {"count": "order"}}}),
    ],
)
def test_what_means_another_thing_has_another(rule, more):
    assert version(rule, **more) != version(BASE)


def test_order_that_means_something_stays():
    over = "{value: {over: [{count: order}, {count: link_click}]}, at_least: $ratio}"
    turned = "{value: {over: [{count: link_click}, {count: order}]}, at_least: $ratio}"
    assert version(over) != version(turned)
    assert version("{value: {add: [{count: order}, {count: order}]}, at_least: $n}") != version(
        "{value: {count: order}, at_least: $n}"
    )


def test_words_names_and_spelling_of_parameters_do_not_count():
    tried = cohort(BASE)
    data = tried.model_dump(mode="json", exclude_none=True)
    data["description"] = "other words"
    data["params"] = {
        "few": {"value": 3, "unit": "count", "description": "said"},
        "time": {"value": "1w", "unit": "duration"},
    }
    data["rule"] = cohort(BASE).model_dump(mode="json", exclude_none=True)["rule"]
    text = str(data["rule"]).replace("$n", "$few").replace("$week", "$time")
    data["rule"] = eval(text)  # noqa: S307
    assert definition_version(Cohort.model_validate(data)) == definition_version(tried)


def test_versions_of_the_catalogue_differ_and_are_twelve_digits():
    found = [definition_version(each) for each in catalogue().values()]
    assert len(set(found)) == len(found)
    assert all(len(each) == 12 and int(each, 16) >= 0 for each in found)


PARTS = [
    "{cohort: a}",
    "{cohort: b}",
    "{open: opt_out}",
    "{value: {count: order}, at_least: $n}",
    "{none: [{cohort: c}]}",
]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_any_order_at_any_depth(parts, random):
    shuffled = random.sample(parts, len(parts))
    cut = random.randint(0, len(shuffled) - 1)
    nested = [*shuffled[:cut], f"{{all: [{', '.join(shuffled[cut:])}]}}"]
    assert version(f"{{all: [{', '.join(parts)}]}}") == version(f"{{all: [{', '.join(nested)}]}}")
