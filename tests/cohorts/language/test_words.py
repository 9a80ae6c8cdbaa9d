"""Rules in words: values filled in, opposites turned round, every shape of the language."""

from __future__ import annotations

import pytest

from pipelines.cohorts.language.words import in_words, words
from tests.cohorts.language.support import catalogue, cohort

DAY = {"evaluate": "day"}
VISITOR = {"subject": "visitor"}


@pytest.mark.parametrize(
    ("rule", "more", "enters", "leaves"),
    [
        (
            "{value: {count: order, within: $week}, at_least: $n}",
            {},
            "at least 3 orders in the last 7 days",
            "fewer than 3 orders in the last 7 days",
        ),
        (
            "{value: {count: order, where: {side: outlet, discounted: false}}, more_than: $none}",
            {},
            "at least 1 order with side outlet and without a discount ever",
            "no orders with side outlet and without a discount ever",
        ),
        (
            "{value: {count: order}, at_least: $n, leave_below: $m}",
            DAY,
            "at least 3 orders ever",
            "fewer than 2 orders ever",
        ),
        (
            "{value: {distinct: outlet_id, of: order}, at_most: $m, leave_above: $n}",
            DAY,
            "at most 2 different outlets among orders ever",
            "more than 3 different outlets among orders ever",
        ),
        (
            "{value: {sum: net_minor, of: spend, within: $week}, at_least: {greatest: [$money, {percentile: $share}]}}",
            DAY,
            "the net value of payments in the last 7 days is at least the greater of 500 minor units and the 60th "
            "percentile of all customers",
            "the net value of payments in the last 7 days is less than the greater of 500 minor units and the 60th "
            "percentile of all customers",
        ),
        (
            "{value: {avg: net_minor, of: order}, less_than: $money}",
            DAY,
            "the mean net value of orders is less than 500 minor units",
            "the mean net value of orders is at least 500 minor units",
        ),
        (
            "{value: {over: [{add: [{count: order}, $n]}, {count: link_click}]}, at_least: $ratio}",
            DAY,
            "(orders plus 3) divided by clicks is at least 1.5",
            "(orders plus 3) divided by clicks is less than 1.5",
        ),
        (
            "{value: {share: {count: order, within: $week}, to: {count: order}}, at_most: $share}",
            DAY,
            "orders in the last 7 days are at most 60% of orders",
            "orders in the last 7 days are more than 60% of orders",
        ),
        (
            "{all: [{cohort: vip}, {any: [{open: opt_out}, {value: {since: order}, more_than: $week}]}, "
            "{none: [{cohort: a}, {cohort: b}]}]}",
            {},
            "in the cohort vip, and [an open opt-out, or the last order was more than 7 days ago], and [not in the "
            "cohort a, and not in the cohort b]",
            "no longer in the cohort vip, or [no longer an open opt-out, and the last order was at most 7 days ago], "
            "or [in the cohort a, or in the cohort b]",
        ),
        (
            "{without: [add, order], after: view, within: $short, where: {session_products: {at_least: $m}}}",
            {**VISITOR, "until": ["add"], "ttl": "$week"},
            "a view with at least 2 products viewed in the session by then, not followed by an add to bag or order "
            "within 30 minutes",
            "an add to bag or 7 days after the view",
        ),
        (
            "{first: {event: [view]}, then: {event: [crossing], where: {signal: momentum, to_state: rising}}, "
            "within: $week, same: product_id, unless: [{event: [buy]}], lasts: $month, until: [{event: [buy]}]}",
            VISITOR,
            "a view, then a change of momentum to rising, both of one product, at most 7 days apart, with no purchase "
            "between",
            "a purchase or 30 days after the view",
        ),
        ("{open: opt_out}", {"for_each": "channel"}, "an open opt-out of the channel", "no longer an open opt-out of "),
        ("{value: {count: order}, at_least: $n, leave_below: $none}", DAY, "at least 3 orders ever", "never"),
        (
            "{all: [{value: {count: order}, at_least: $n, leave_below: $none}, {cohort: vip}]}",
            DAY,
            "at least 3 orders ever, and in the cohort vip",
            "no longer in the cohort vip",
        ),
        (
            "{none: [{value: {count: order}, at_least: $n, leave_below: $m}]}",
            DAY,
            "fewer than 3 orders ever",
            "at least 2 orders ever",
        ),
    ],
)
def test_a_rule_and_its_opposite(rule, more, enters, leaves):
    said = words(cohort(rule, **more))
    assert said.enters == enters
    assert said.leaves == leaves or (leaves.endswith(" ") and said.leaves.startswith(leaves))


def test_how_memberships_are_held():
    more = {"evaluate": "day", "ttl": "$month", "dwell": "$week", "cooldown": "$week"}
    assert in_words(cohort("{value: {count: order}, at_least: $n}", **more)) == (
        "at least 3 orders ever; leaves: fewer than 3 orders ever, or 30 days after the entry at the latest; "
        "stays at least 7 days; does not enter again within 7 days after leaving"
    )
    assert words(cohort("{open: opt_out}")).decided == "at the instant of the data"


def test_the_words_of_the_catalogue_show_every_value_of_its_rules():
    for each in catalogue().values():
        said = in_words(each)
        assert "$" not in said and "None" not in said and "  " not in said and "(" not in said.split(" ")[0][1:]
        shown = {str(param.value)[:-1] for param in each.params.values() if param.unit == "duration"}
        assert all(number in said for number in shown), each.id


def test_a_tenants_values_are_said():
    vip = catalogue()["vip"]
    params = {**vip.params, "orders": vip.params["orders"].model_copy(update={"value": 9})}
    assert "at least 9 orders" in in_words(vip.model_copy(update={"params": params}))
