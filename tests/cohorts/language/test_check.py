"""Every mistake that the check knows, by one definition that makes only that one."""

from __future__ import annotations

import pytest

from pipelines.cohorts.instants.truth import CAUSES as TOLD
from pipelines.cohorts.language.check import check, check_or_raise
from pipelines.cohorts.language.check_rules import CAUSES
from pipelines.errors import UsageError
from tests.cohorts.language.support import STATES, catalogue, cohort, problems

DAY = {"evaluate": "day"}
VISITOR = {"subject": "visitor"}
ORDERS = "{value: {count: order}, at_least: $n}"


def test_the_catalogue_has_no_problem():
    check_or_raise(catalogue(), STATES)


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        (ORDERS, {}),
        ("{value: {sum: net_minor, of: spend, within: $short}, more_than: $money}", {}),
        ("{any: [{value: {count: order}, at_least: $n}, {none: [{value: {count: order}, less_than: $m}]}]}", {}),
        ("{value: {avg: net_minor, of: order}, at_least: $money}", DAY),
        ("{value: {over: [{sum: net_minor, of: spend}, {count: order}]}, at_least: $money}", DAY),
        ("{value: {over: [{count: order}, {count: link_click}]}, at_least: $ratio}", DAY),
        ("{value: {times: [$ratio, {sum: net_minor, of: spend}]}, at_least: $money}", DAY),
        ("{value: {count: order}, more_than: $m, leave_below: $n}", DAY),
        ("{value: {last: order}, at_least: {percentile: $share}}", DAY),
        ("{first: {event: [view]}, then: {event: [buy]}, same: category, lasts: $week}", VISITOR),
        ("{value: {count: order, where: {net_minor: {at_least: $money}, side: outlet}}, at_least: $n}", {}),
        ("{first: {event: [view]}, then: {event: [buy]}, same: product_id, lasts: $week}", VISITOR),
    ],
)
def test_what_is_right_has_none(rule, more):
    assert problems(rule, **more) == {}


WRONG = [
    # streams and fields
    ("{value: {count: ordr}, at_least: $n}", {}, "rule.value.count", "'ordr' is not a stream; did you mean 'order'?"),
    ("{value: {count: view}, at_least: $n}", {}, "rule.value.count", "of visitors and this cohort of customers"),
    ("{value: {count: crossing}, at_least: $n}", {}, "rule.value.count", "is of products"),
    ("{value: {count: cart_activity}, at_least: $n}", VISITOR, "rule.value.count", "abandoned carts"),
    ("{value: {count: activity}, at_least: $n}", VISITOR, "rule.value.count", "known by day only; write evaluate: day"),
    ("{value: {sum: net_minr, of: spend}, at_least: $n}", {}, "rule.value.sum", "did you mean 'net_minor'?"),
    ("{value: {sum: side, of: order}, at_least: $n}", {}, "rule.value.sum", "'side' is no number"),
    ("{value: {distinct: shop, of: order}, at_least: $n}", {}, "rule.value.distinct", "not a field of orders"),
    ("{value: {min: net_minor, max: net_minor, of: order}, at_least: $money}", DAY, "rule.value", "min and max"),
    ("{value: {first: order, last: order}, at_least: {percentile: $share}}", DAY, "rule.value", "first and last"),
    ("{value: {since: order, since_first: order}, at_least: $week}", {}, "rule.value", "since and since_first"),
    # conditions
    (
        "{value: {count: order, where: {sied: outlet}}, at_least: $n}",
        {},
        "rule.value.where.sied",
        "did you mean 'side'?",
    ),
    (
        "{value: {count: order, where: {discounted: maybe}}, at_least: $n}",
        {},
        "rule.value.where.discounted",
        "write true or false",
    ),
    ("{value: {count: order, where: {side: true}}, at_least: $n}", {}, "rule.value.where.side", "write a text"),
    ("{value: {count: order, where: {side: $m}}, at_least: $n}", {}, "rule.value.where.side", "$m is a number"),
    (
        "{value: {count: order, where: {net_minor: {at_least: $m}}}, at_least: $n}",
        {},
        "rule.value.where.net_minor.at_least",
        "$m is a count, here stands money (minor)",
    ),
    (
        "{value: {count: order, where: {side: {at_most: $m}}}, at_least: $n}",
        {},
        "rule.value.where.side",
        "the field is a text",
    ),
    # signals
    (
        "{value: {count: view, where: {signal.momentun: rising}}, at_least: $n}",
        VISITOR,
        "rule.value.where.signal.momentun",
        "did you mean 'momentum'?",
    ),
    (
        "{value: {count: view, where: {signal.momentum: soaring}}, at_least: $n}",
        VISITOR,
        "rule.value.where.signal.momentum",
        "'soaring' is not a state of momentum",
    ),
    (
        "{value: {count: order, where: {signal.momentum: rising}}, at_least: $n}",
        VISITOR,
        "rule.value.where.signal.momentum",
        "has no product",
    ),
    # units
    ("{value: {count: order}, at_least: $money}", {}, "rule.at_least", "$money is money (minor), here stands a count"),
    ("{value: {count: order}, at_least: $pieces}", {}, "rule.at_least", "is a quantity"),
    ("{value: {count: order, within: $m}, at_least: $n}", {}, "rule.value.within", "here stands a duration"),
    ("{value: {sum: net_minor, of: spend}, at_least: $n}", {}, "rule.at_least", "set unit: minor in params.n"),
    ("{value: {since: order}, at_least: $n}", {}, "rule.at_least", "here stands a duration"),
    (
        "{value: {share: {count: order}, to: {count: link_click}}, at_least: $ratio}",
        DAY,
        "rule.at_least",
        "here stands a percentage",
    ),
    (
        "{value: {over: [{count: order}, {count: link_click}]}, at_least: $share}",
        DAY,
        "rule.at_least",
        "here stands a ratio",
    ),
    (
        "{value: {over: [{count: order}, {sum: net_minor, of: spend}]}, at_least: $n}",
        DAY,
        "rule.value.over",
        "divides a count by money (minor)",
    ),
    (
        "{value: {add: [{count: order}, {sum: net_minor, of: spend}]}, at_least: $n}",
        DAY,
        "rule.value.add",
        "add equal units",
    ),
    (
        "{value: {times: [{sum: net_minor, of: spend}, $money]}, at_least: $money}",
        DAY,
        "rule.value.times",
        "multiplies money (minor) by money (minor)",
    ),
    ("{value: {add: [{count: order}, $share]}, at_least: $n}", DAY, "rule.value.add.1", "$share is a percentage"),
    ("{value: {add: [{count: order}, {last: order}]}, at_least: $n}", DAY, "rule.value.add", "instant cannot be"),
    (
        "{value: {share: {count: order}, to: {sum: net_minor, of: spend}}, at_least: $share}",
        DAY,
        "rule.value",
        "a count has no share of money (minor)",
    ),
    ("{value: {last: order}, at_least: $week}", DAY, "rule.at_least", "compared with a percentile only"),
    # bounds
    ("{value: {count: order}, at_least: {percentile: $over}}", DAY, "rule.at_least.percentile", "no percentile 101"),
    (
        "{value: {count: order}, at_least: {percentile: $n}}",
        DAY,
        "rule.at_least.percentile",
        "here stands a percentage",
    ),
    (
        "{value: {count: order}, at_least: {percentile: $share, population: $money}}",
        DAY,
        "rule.at_least.population",
        "here stands a count",
    ),
    (
        "{value: {count: order}, at_least: {percentile: $share, history: $short}}",
        DAY,
        "rule.at_least.history",
        "30m is no whole number of days",
    ),
    ("{value: {count: order}, at_least: {percentile: $share}}", {}, "rule.at_least", "write evaluate: day"),
    (
        "{value: {share: {count: order}, to: {count: link_click}}, at_least: {percentile: $share}}",
        DAY,
        "rule.at_least",
        "this value is a fraction",
    ),
    (
        "{value: {since: order}, at_least: {multiple: $m, of: {count: order}}}",
        {},
        "rule.at_least.of",
        "is a count, compared with a duration",
    ),
    (
        "{value: {since: order}, at_least: {multiple: $m, of: {since_first: order}}}",
        {},
        "rule.at_least",
        "multiple of median_gap only",
    ),
    (
        "{value: {since: order}, at_least: {multiple: $m, of: {median_gap: order, fewer_than: $n}}}",
        {},
        "rule.at_least.of",
        "belong together",
    ),
    (
        "{value: {since: order}, at_least: {multiple: $m, of: "
        "{median_gap: order, fewer_than: $n, otherwise: category}}}",
        {},
        "rule.at_least.of",
        "write evaluate: day",
    ),
    ("{value: {count: order}, at_least: {greatest: [$m, $n]}}", {}, "rule.at_least", "or evaluate: day"),
    ("{value: {since: order}, equals: $week}", {}, "rule.equals", "no instant exactly so long"),
    ("{value: {count: order}, at_least: $m, leave_below: $m}", {}, "rule.leave_below", "write evaluate: day"),
    ("{value: {count: order}, at_least: $m, leave_below: $n}", DAY, "rule.leave_below", "who enters leaves at once"),
    (
        "{all: [{cohort: vip}, {value: {count: order}, at_most: $n, leave_above: $m}]}",
        DAY,
        "rule.all.1.leave_above",
        "contradict",
    ),
    (
        "{value: {count: order}, at_least: {percentile: $share}, leave_below: {percentile: $over}}",
        DAY,
        "rule.leave_below",
        "at_least 60 and leave_below 101 contradict",
    ),
    # by day or at instants
    ("{value: {count: order, within: $short}, at_least: $n}", DAY, "rule.value.within", "write days, or evaluate"),
    ("{value: {max: net_minor, of: order}, at_least: $money}", {}, "rule.value", "max is decided by day only"),
    ("{open: opt_out}", DAY, "rule", "write evaluate: instant"),
    ("{left: lapsed_shopper, because_of: order, within: $week}", DAY, "rule", "write evaluate: instant"),
    ("{cohort: vip}", {}, "rule.cohort", "'vip' is decided by day, this cohort at instants"),
    ("{cohort: cart_abandoner}", VISITOR, "rule.cohort", "is a cohort of carts"),
    # other cohorts
    ("{cohort: vpi}", DAY, "rule.cohort", "'vpi' is not a cohort; did you mean 'vip'?"),
    ("{cohort: browse_abandoner}", DAY, "rule.cohort", "is of visitors and this cohort of customers"),
    ("{none: [{cohort: outlet_regular}]}", DAY, "rule.none.0.cohort", "is a family"),
    ("{cohort: 'vip:x'}", DAY, "rule.cohort", "'vip' is no family; write vip"),
    ("{left: lapsed_shopper, because_of: ordr, within: $week}", {}, "rule.because_of", "did you mean 'order'?"),
    ("{left: lapsed_shoper, because_of: order, within: $week}", {}, "rule.left", "did you mean 'lapsed_shopper'?"),
    # sequences
    ("{open: link_click}", {}, "rule.open", "clicks do not end; count them, or write one of: opt_out"),
    (
        "{without: [add], after: view, within: $short}",
        VISITOR,
        "ttl",
        "nothing ends a membership that begins by absence",
    ),
    (
        "{without: [add], after: view, within: $month}",
        {**VISITOR, "ttl": "$week"},
        "ttl",
        "$week ends membership before $month begins it",
    ),
    ("{without: [ad], after: view, within: $short}", {**VISITOR, "ttl": "$week"}, "rule.without.0", "'ad' is not a"),
    (
        "{first: {event: [view]}, then: {event: [order]}, same: product_id, lasts: $week}",
        VISITOR,
        "rule.then.event",
        "'order' has no 'product_id', which same names",
    ),
    (
        "{first: {event: [view]}, then: {event: [buy]}, same: product_id, within: $month, lasts: $week}",
        VISITOR,
        "rule.lasts",
        "over before the second event",
    ),
    (
        "{first: {event: [view]}, then: {event: [buy]}, same: product_id}",
        VISITOR,
        "rule",
        "nothing ends a membership; add until, lasts or lasts_after",
    ),
    (
        "{first: {event: [view]}, then: {event: [crossing], where: {signal: scarcity_state, to_state: lo}}, "
        "same: product_id, lasts: $week}",
        VISITOR,
        "rule.then.where.to_state",
        "'lo' is not a state of scarcity_state; did you mean 'low'?",
    ),
    (
        "{first: {event: [view]}, then: {event: [crossing], where: {to_state: low}}, same: product_id, lasts: $week}",
        VISITOR,
        "rule.then.where.to_state",
        "add signal:",
    ),
    # the whole
    (ORDERS, {"until": ["order"]}, "until", "there is none"),
    (
        "{without: [add], after: view, within: $short}",
        {**VISITOR, "until": ["cart_emptied"]},
        "until.0",
        "ends abandoned carts only",
    ),
    (ORDERS, {"evaluate": "day", "ttl": "$m"}, "ttl", "here stands a duration"),
    (ORDERS, {"ttl": "$week"}, "ttl", "holds no membership at instants"),
    (ORDERS, {"dwell": "$week"}, "dwell", "holds no membership at instants"),
    (ORDERS, {"cooldown": "$week"}, "cooldown", "holds no membership at instants"),
    (ORDERS, {"evaluate": "day", "dwell": "$short"}, "dwell", "no whole number of days"),
    (ORDERS, {"params": {"n": {"value": 3, "unit": "count"}, "k": {"value": 3, "unit": "count"}}}, "params.k", "uses"),
    ("{value: {count: order}, at_most: $n}", {}, "rule", "holds for everyone who never did anything"),
    ("{none: [{value: {count: order}, at_least: $n}]}", DAY, "rule", "add a part that must happen"),
    ("{all: [{cohort: vip}, {value: {count: order}, at_least: $n}]}", {"for_each": "side"}, "rule.all.0.cohort", ""),
    (
        ORDERS,
        {"context": {"spent": {"sum": "net_mino", "of": "spend"}}},
        "context.spent.sum",
        "did you mean 'net_minor'?",
    ),
    # families
    (ORDERS, {"for_each": "sid"}, "for_each", "did you mean 'side'?"),
    ("{value: {count: spend}, at_least: $n}", {"for_each": "side"}, "rule.value.count", "payments have no 'side'"),
    ("{value: {count: order, over_all: true}, at_least: $n}", DAY, "rule.value.over_all", "add for_each"),
    (
        "{any: [{value: {count: order, over_all: true}, at_least: $n}, {value: {count: order}, at_least: $m}]}",
        {"for_each": "side"},
        "rule.any.0.value.over_all",
        "add evaluate: day",
    ),
    ("{value: {since: order}, at_least: $week}", {"for_each": "side"}, "rule.value", "no single cohort of a family"),
    ("{cohort: vip}", {**DAY, "for_each": "side"}, "for_each", "no part of the rule has the field"),
    (
        "{without: [add], after: view, within: $short}",
        {**VISITOR, "ttl": "$week", "for_each": "category"},
        "rule",
        "remove for_each",
    ),
    (
        "{first: {event: [view]}, then: {event: [buy]}, same: product_id, lasts: $week}",
        {**VISITOR, "for_each": "category"},
        "rule.same",
        "write same: category",
    ),
]


@pytest.mark.parametrize(("rule", "more", "path", "said"), WRONG)
def test_what_is_wrong_is_named_with_place_and_fix(rule, more, path, said):
    found = problems(rule, catalogue(), **more)
    assert said in found.get(path, f"only {found}")
    assert all("; " in text for text in found.values())


CART = "{without: [order], after: cart_activity, within: $short, where: {cart_open: true}}"
VALUE = "{property: cart_total_value, at_least: {greatest: [$money, %s]}, leave_below: $share}"
POOL = "{percentile: $share, of: open_cart_values, partitions: $n}"
HELD = {**VISITOR, "ttl": "$week", "until": ["order"]}


@pytest.mark.parametrize(
    ("rule", "more", "path", "said"),
    [
        (CART, {**VISITOR, "until": ["order"]}, "ttl", "a rule of absence needs one"),
        (CART, {**HELD, "until": ["add"]}, "until.0", "'add' does not end an abandoned cart"),
        (CART, {**HELD, "dwell": "$week"}, "dwell", "not for cohorts of carts"),
        (CART, {**HELD, "evaluate": "day"}, "evaluate", "at an instant"),
        (CART.replace("[order]", "[add]"), HELD, "rule.without", "write without: [order]"),
        (CART.replace("true", "false"), HELD, "rule.where", "only an open cart"),
        (CART.replace("$short", "$month"), HELD, "ttl", "before $month begins it"),
        (f"{{all: [{CART}, {ORDERS}]}}", HELD, "rule", "is not one of the rules of carts"),
        (f"{{all: [{{cohort: browse_abandoner}}, {VALUE % POOL}]}}", VISITOR, "rule.all.0.cohort", "abandoned carts"),
        (
            f"{{all: [{{cohort: cart_abandoner}}, {(VALUE % POOL).replace('$money', '$m')}]}}",
            VISITOR,
            "rule.all.1.at_least.greatest.0",
            "here stands money",
        ),
        (
            f"{{all: [{{cohort: cart_abandoner}}, {(VALUE % POOL).replace('below: $share', 'below: $over')}]}}",
            VISITOR,
            "rule.all.1.leave_below",
            "at most 100",
        ),
        (
            "{all: [{cohort: cart_abandoner}, "
            "{signal: scarcity_state, of: cart_products, any_in: [lo], leave_after: $week}]}",
            VISITOR,
            "rule.all.1.any_in.0",
            "did you mean 'low'?",
        ),
        (
            "{all: [{cohort: cart_abandoner}, "
            "{signal: momentum, of: cart_products, any_in: [low], leave_after: $week}]}",
            VISITOR,
            "rule.all.1.signal",
            "write scarcity_state",
        ),
        (CART, HELD, "rule", "'cart_abandoner' and 'tried' have the same rule; only one of a kind"),
    ],
)
def test_rules_of_carts(rule, more, path, said):
    assert said in problems(rule, catalogue(), **more).get(path, "")


def test_a_circle_is_named_once_from_its_least_id():
    rules = {"b": "{cohort: c}", "c": "{all: [{value: {count: order}, at_least: $n}, {none: [{cohort: a}]}]}"}
    rules |= {"a": "{any: [{cohort: b}]}", "d": "{cohort: a}"}
    found = {key: cohort(rule, id=key) for key, rule in rules.items()}
    assert [str(problem) for problem in check(found, {})] == [
        "a.yaml: rule: cohorts refer to each other in a circle: a -> b -> c -> a; remove one of the references"
    ]
    alone = {"a": cohort("{left: a, because_of: order, within: $week}", id="a")}
    assert "a -> a" in check(alone, {})[0].problem


def test_all_problems_of_all_definitions_are_found_and_the_first_is_raised():
    found = {
        "b": cohort("{all: [{value: {count: x}, at_least: $n}, {value: {count: order}, at_least: $money}]}", id="b"),
        "a": cohort("{cohort: nobody}", id="a"),
    }
    places = [(problem.file, problem.path) for problem in check(found, {})]
    assert places == [
        ("a.yaml", "rule.cohort"),
        ("b.yaml", "rule.all.0.value.count"),
        ("b.yaml", "rule.all.1.at_least"),
    ]
    with pytest.raises(UsageError, match=r"^a\.yaml: rule\.cohort: 'nobody' is not a cohort; .* \(and 2 more"):
        check_or_raise(found, {})


def test_causes_are_those_that_are_told():
    assert set(CAUSES) == {*TOLD, "bound"}
