"""One small story for each threshold of the catalogue: rows just under it, at it, and just over it.

A story gives rows by relation for -1, 0 and 1, where one is the least that the threshold can tell apart: a microsecond,
a count, a minor unit, a percent. ``who`` is asked for at the end of ``DAY_ASKED``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from pipelines.calendar import day_of
from pipelines.cohorts.sql.scope import micros
from pipelines.signals.units import DAY, HOUR, MINUTE
from tests.cohorts.streams_cases import ZONE, put, relations

DAY_ASKED = date(2026, 6, 10)
END = micros(day_of(DAY_ASKED, ZONE).end)
START = micros(day_of(DAY_ASKED, ZONE).start)
#: The last instant that counts.
NOW = END - 1
WHO = "who"
NO, YES = False, True


@dataclass(frozen=True)
class Story:
    """What a threshold decides.

    Attributes:
        cohort: id.
        param: the threshold.
        rows: from -1, 0 or 1 to rows by relation.
        expected: whether ``who`` is a member, for -1, 0 and 1.
        before: whether ``who`` was a member at the end of the day before.
        key: of a family.
        params: thresholds of the cohort that are set, so that few rows are enough; may depend on -1, 0 and 1.
    """

    cohort: str
    param: str
    rows: Callable
    expected: tuple
    before: bool = False
    key: str | None = None
    params: Callable = field(default=lambda step: {})

    @property
    def name(self):
        """Its id in tests."""
        return f"{self.cohort}-{self.param}{'-member' if self.before else ''}"

    @property
    def member(self):
        """The cohort that ``who`` is asked for in."""
        return self.cohort if self.key is None else f"{self.cohort}:{self.key}"


def edge(days):
    """First instant of a window of tenant days."""
    return micros(day_of(DAY_ASKED - timedelta(days=days - 1), ZONE).start)


def said(*parts):
    """Rows of (relation, subject, at, fields)."""
    rows = {name: [] for name in relations()}
    for relation, subject, at, fields in parts:
        put(rows, relation, subject, at, **fields)
    return rows


ORDER = {"side": "online", "outlet_id": "o", "group_id": ["north"], "discounted": False}


def orders(*instants, who=WHO, **fields):
    return [("customer_order", who, at, {**ORDER, "order_id": f"{who}{n}", **fields}) for n, at in enumerate(instants)]


def spend(amount, at=NOW, who=WHO):
    return ("customer_spend", who, at, {"net_minor": amount})


def views(who, *rows, at=NOW, **fields):
    return [("visitor_view", who, at, {"product_id": p, "session_id": s, **fields}) for p, s in rows]


def weighed(name, category, times, at=NOW):
    fields = {"category": category, "product_id": f"{category}1", "times": times}
    return [(f"visitor_{name}", WHO, at, fields)] if times else []


def shares(discounted, of=100):
    """So many of the orders are discounted."""
    return said(
        *orders(NOW, times=discounted, discounted=True, order_id="a"),
        *orders(NOW, times=of - discounted, order_id="b"),
    )


def moving(product, signal, at, state, before=None):
    fields = {"signal": signal, "product_id": product, "to_state": state, "from_state": before}
    return ("product_crossing", None, at, fields)


def scarce(n_s, k_s, n_n, k_n, at=NOW):
    """Products and days: scarce, of them converted, others, of them converted."""

    def some(times, **fields):
        return [("visitor_scarce_day", WHO, at, {"product_id": "p", "times": times, **fields})] if times else []

    return said(
        *some(k_s, scarce=True, converted=True), *some(n_s - k_s, scarce=True, converted=False),
        *some(k_n, scarce=False, converted=True), *some(n_n - k_n, scarce=False, converted=False),
    )  # fmt: skip


def money_of_others(count, step, at=START - DAY):
    """Other customers with spend of 1, 2, 3... steps and an order each, a day before."""
    rows = [spend(step * (n + 1), at, f"other{n}") for n in range(count)]
    return [*rows, *(row for n in range(count) for row in orders(at - n, who=f"other{n}"))]


def returned(percent, sales=3, at=NOW):
    sold = [("customer_sold", WHO, at, {"net_minor": 100, "order_id": n}) for n in range(sales)]
    return said(*sold, ("customer_returned", WHO, at, {"net_minor": percent * sales}))


def abandoned_view(at, **fields):
    chosen = {"session_products": 2, "session_repeats": 1, "session_adds": 0, **fields}
    return said(*views(WHO, ("p1", "s1"), at=at, **chosen))


def restocked(viewed, back):
    """A product was out when it was looked at, and came back."""
    return said(
        moving("p", "scarcity_state", viewed - 1, "out"),
        *views(WHO, ("p", "s1"), at=viewed),
        moving("p", "scarcity_state", back, "healthy", "out"),
    )


def trendy(count, at=NOW):
    return said(
        moving("p", "momentum", at - DAY, "surging"),
        *[("visitor_add", WHO, at, {"product_id": "p", "category": "a"}) for _ in range(count)],
    )


def accepted(count, at=NOW):
    return said(*[("customer_referral_accepted", WHO, at, {"campaign_id": "k"}) for _ in range(count)])


def clicked(at, ordered):
    return said(
        ("customer_link_click", WHO, at, {"campaign_id": "k"}),
        ("customer_campaign_order", WHO, ordered, {"campaign_id": "k", "order_id": "o"}),
    )


def known_gap(count):
    """The customer's gaps are 20 days, those of the category are one day."""
    last = NOW - 35 * DAY
    return said(
        *orders(*[last - 20 * DAY * n for n in range(count)]),
        *orders(START - 3 * DAY, START - 2 * DAY, who="other"),
        *[("customer_category", who, START, {"until": END, "category": "a"}) for who in (WHO, "other")],
    )


def champion(at=NOW, count=1, money=10_000, others=20):
    """A customer among others who ordered once each, a microsecond apart, and spent 1, 2, 3... tens."""
    own = [*orders(*[at - n for n in range(count)]), spend(money, at)]
    return said(*own, *money_of_others(others, 10))


FEW = {"buyers": 3, "history": "1d"}


def few(step):
    return FEW


AFTER, SAME, UPTO = (NO, YES, YES), (NO, NO, YES), (YES, YES, NO)

STORIES = [
    Story("repeat_purchaser", "window", lambda d: said(*orders(NOW, END - 365 * DAY + d)), AFTER),
    Story("repeat_purchaser", "orders", lambda d: said(*orders(*[NOW] * (2 + d))), AFTER),
    Story("new_customer", "window", lambda d: said(*orders(END - 30 * DAY + d, NOW)), AFTER),
    Story("one_and_done", "orders", lambda d: said(*orders(*[NOW - 100 * DAY] * (1 + d))), (NO, YES, NO)),
    Story("one_and_done", "silence", lambda d: said(*orders(NOW - 60 * DAY - d)), SAME),
    Story("lapsed_shopper", "floor", lambda d: said(*orders(NOW - 180 * DAY - d)), AFTER),
    Story(
        "lapsed_shopper", "multiple", lambda d: said(*orders(NOW - 300 * DAY - d, NOW - 400 * DAY - d)), AFTER
    ),
    Story(
        "at_risk_customer", "orders", lambda d: said(*orders(*[NOW - (50 + n) * DAY for n in range(2 + d)])), AFTER
    ),
    Story(
        "at_risk_customer", "floor",
        lambda d: said(*orders(*[NOW - (30 + n) * DAY - d for n in range(3)])), SAME,
    ),
    Story(
        "at_risk_customer", "multiple",
        lambda d: said(*orders(*[NOW - (40 + 20 * n) * DAY - d for n in range(3)])), SAME,
    ),
    Story("at_risk_customer", "known", lambda d: known_gap(3 + d), (YES, NO, NO)),
    Story(
        "won_back", "window", lambda d: said(*orders(END - 30 * DAY + d, END - 230 * DAY)), AFTER
    ),
    Story("campaign_responder", "window", lambda d: clicked(END - 30 * DAY + d, END - 29 * DAY), AFTER),
    Story("campaign_responder", "within", lambda d: clicked(END - 10 * DAY, END - 3 * DAY + d), UPTO),
    Story("referrer_active", "window", lambda d: accepted(1, END - 90 * DAY + d), AFTER),
    Story("referrer_active", "accepted", lambda d: accepted(1 + d), AFTER),
    Story("dormant_visitor", "silence", lambda d: said(("visitor_activity", WHO, NOW - 60 * DAY - d, {})), AFTER),
    Story("checkout_abandoner", "silence", lambda d: said(("visitor_checkout", WHO, NOW - HOUR - d, {})), AFTER),
    Story("checkout_abandoner", "ttl", lambda d: said(("visitor_checkout", WHO, END - 3 * DAY + d, {})), AFTER),
    Story("browse_abandoner", "silence", lambda d: abandoned_view(NOW - 30 * MINUTE - d), AFTER),
    Story("browse_abandoner", "ttl", lambda d: abandoned_view(END - 3 * DAY + d), AFTER),
    Story("browse_abandoner", "products", lambda d: abandoned_view(NOW - HOUR, session_products=2 + d), AFTER),
    Story(
        "browse_abandoner", "repeats",
        lambda d: abandoned_view(NOW - HOUR, session_products=1, session_repeats=2 + d), AFTER,
    ),
    Story("browse_abandoner", "adds", lambda d: abandoned_view(NOW - HOUR, session_adds=max(0, d)), UPTO),
    Story("back_in_stock_waiter", "memory", lambda d: restocked(END - 62 * DAY, END - 2 * DAY + d), UPTO),
    Story("back_in_stock_waiter", "ttl", lambda d: restocked(END - 20 * DAY, END - 7 * DAY + d), AFTER),
    # Day rules.
    Story(
        "high_intent_browser", "window",
        lambda d: said(*views(WHO, *[(f"p{n}", f"s{n}") for n in range(5)], at=edge(7) + d)), AFTER,
    ),
    Story(
        "high_intent_browser", "products",
        lambda d: said(*views(WHO, *[(f"p{n}", f"s{n}") for n in range(5 + d)])), AFTER,
    ),
    Story(
        "high_intent_browser", "products_exit",
        lambda d: said(*views(WHO, *[(f"p{n}", "s") for n in range(1 + d)])), AFTER, before=True,
    ),
    Story(
        "high_intent_browser", "sessions",
        lambda d: said(*views(WHO, *[(f"p{n}", f"s{n % (2 + d)}") for n in range(5)])), AFTER,
    ),
    Story(
        "high_intent_browser", "sessions_exit",
        lambda d: said(*views(WHO, *[("p", f"s{n}") for n in range(1 + d)], ("p", None))), AFTER, before=True,
    ),
    Story(
        "high_intent_browser", "orders",
        lambda d: said(*views(WHO, *[(f"p{n}", f"s{n}") for n in range(5)]),
                       *[("visitor_order", WHO, NOW, {"order_id": "o"})] * max(0, d)), UPTO,
    ),
    Story(
        "category_affinity", "window", lambda d: said(*weighed("view", "a", 10, edge(90) + d)), AFTER, key="a"
    ),
    Story(
        "category_affinity", "share",
        lambda d: said(*weighed("view", "a", 60 + d), *weighed("view", "b", 40 - d)), AFTER, key="a",
    ),
    Story(
        "category_affinity", "share_exit",
        lambda d: said(*weighed("view", "a", 45 + d), *weighed("view", "b", 55 - d)), AFTER, before=True, key="a",
    ),
    Story("category_affinity", "events", lambda d: said(*weighed("view", "a", 10 + d)), AFTER, key="a"),
    Story(
        "category_affinity", "events_exit", lambda d: said(*weighed("view", "a", 1 + d)), AFTER, before=True, key="a"
    ),
    Story(
        "category_affinity", "of_add", lambda d: said(*weighed("add", "a", 10), *weighed("view", "b", 20)), AFTER,
        key="a", params=lambda d: {"of_add": 3 + d},
    ),
    Story(
        "category_affinity", "of_buy", lambda d: said(*weighed("buy", "a", 6), *weighed("view", "b", 20)), AFTER,
        key="a", params=lambda d: {"of_buy": 5 + d},
    ),
    Story(
        "discount_responsive", "window",
        lambda d: said(*orders(edge(365) + d, NOW, NOW, discounted=True)), AFTER,
    ),
    Story("discount_responsive", "orders", lambda d: said(*orders(*[NOW] * (3 + d), discounted=True)), AFTER),
    Story(
        "discount_responsive", "orders_exit",
        lambda d: said(*orders(*[NOW] * (1 + d), discounted=True)), AFTER, before=True,
    ),
    Story("discount_responsive", "share", lambda d: shares(60 + d), AFTER),
    Story("discount_responsive", "share_exit", lambda d: shares(45 + d), AFTER, before=True),
    Story("full_price_buyer", "window", lambda d: said(*orders(edge(365) + d, NOW, NOW)), AFTER),
    Story("full_price_buyer", "orders", lambda d: said(*orders(*[NOW] * (3 + d))), AFTER),
    Story("full_price_buyer", "orders_exit", lambda d: said(*orders(*[NOW] * (1 + d))), AFTER, before=True),
    Story("full_price_buyer", "share", lambda d: shares(10 + d), UPTO),
    Story("full_price_buyer", "share_exit", lambda d: shares(20 + d), UPTO, before=True),
    Story("outlet_regular", "window", lambda d: said(*orders(edge(90) + d, NOW, NOW)), AFTER, key="north"),
    Story("outlet_regular", "sales", lambda d: said(*orders(*[NOW] * (3 + d))), AFTER, key="north"),
    Story(
        "outlet_regular", "sales_exit", lambda d: said(*orders(*[NOW] * (2 + d))), AFTER, before=True, key="north"
    ),
    Story(
        "omnichannel_shopper", "window",
        lambda d: said(*orders(edge(180) + d), *orders(NOW, side="outlet")), AFTER,
    ),
    Story(
        "omnichannel_shopper", "sales",
        lambda d: said(*orders(*[NOW] * (1 + d)), *orders(NOW, side="outlet")), AFTER,
    ),
    Story("momentum_chaser", "window", lambda d: trendy(3, edge(14) + d), AFTER),
    Story("momentum_chaser", "acts", lambda d: trendy(3 + d), AFTER),
    Story("momentum_chaser", "acts_exit", lambda d: trendy(2 + d), AFTER, before=True),
    Story("scarcity_responsive_shopper", "window", lambda d: scarce(9, 9, 0, 0, edge(90) + d), AFTER),
    Story("scarcity_responsive_shopper", "viewed", lambda d: scarce(5 + d, 3, 10, 0), AFTER),
    Story("scarcity_responsive_shopper", "viewed_exit", lambda d: scarce(3 + d, 2, 10, 0), AFTER, before=True),
    Story("scarcity_responsive_shopper", "converted", lambda d: scarce(5, 2 + d, 20, 0), AFTER),
    Story(
        "scarcity_responsive_shopper", "converted_exit",
        lambda d: scarce(5, max(0, d), 20, 0), (YES, YES, YES), before=True,
    ),
    Story("scarcity_responsive_shopper", "lift", lambda d: scarce(5, 2, 5 + d, 1), AFTER),
    Story("scarcity_responsive_shopper", "lift_exit", lambda d: scarce(5, 2, 2 + d, 1), AFTER, before=True),
    Story(
        "scarcity_responsive_shopper", "one", lambda d: scarce(5, 2, 5, 1), UPTO, params=lambda d: {"one": 1 + d}
    ),
    Story(
        "scarcity_responsive_shopper", "ten", lambda d: scarce(5, 2, 20, 3), UPTO, params=lambda d: {"ten": 10 + d}
    ),
    Story("serial_returner", "window", lambda d: returned(60, 3, edge(180) + d), AFTER),
    Story("serial_returner", "orders", lambda d: returned(60, 3 + d), AFTER),
    Story("serial_returner", "orders_exit", lambda d: returned(60, 1 + d), AFTER, before=True),
    Story("serial_returner", "share", lambda d: returned(50 + d), AFTER),
    Story("serial_returner", "share_exit", lambda d: returned(35 + d), AFTER, before=True),
    # Against others: who is asked for has nothing at the end of the day before.
    Story(
        "vip", "window",
        lambda d: said(*orders(edge(365) + d, NOW, NOW, NOW), spend(999), *money_of_others(10, 10)), AFTER,
    ),
    Story("vip", "orders", lambda d: said(*orders(*[NOW] * (4 + d)), spend(999), *money_of_others(10, 10)), AFTER),
    Story(
        "vip", "orders_exit",
        lambda d: said(*orders(*[NOW] * (3 + d)), spend(999), *money_of_others(10, 10)), AFTER, before=True,
    ),
    Story(
        "vip", "percentile", lambda d: said(*orders(*[NOW] * 4), spend(90 + d), *money_of_others(10, 10)), AFTER
    ),
    Story(
        "vip", "percentile_exit",
        lambda d: said(*orders(*[NOW] * 4), spend(170 + d), *money_of_others(20, 10)), AFTER, before=True,
    ),
    Story(
        "high_value_at_risk", "percentile",
        lambda d: said(*orders(*[NOW - (50 + n) * DAY for n in range(3)]), spend(80 + d), *money_of_others(10, 10)),
        AFTER,
    ),
    Story(
        "high_value_at_risk", "window",
        lambda d: said(
            *orders(*[NOW - (50 + n) * DAY for n in range(3)]), spend(999, edge(365) + d), *money_of_others(10, 10)
        ), AFTER,
    ),
    Story("rfm_champion", "window", lambda d: said(
        *orders(NOW, edge(365) + d), spend(999), *money_of_others(20, 10)), AFTER, params=few),
    Story("rfm_champion", "frequency", lambda d: champion(count=max(1, 1 + d)), SAME, params=few),
    Story("rfm_champion", "none", lambda d: champion(count=max(0, d), at=NOW), SAME, before=True, params=few),
    Story("rfm_champion", "spend", lambda d: champion(count=2, money=120 + d), SAME, params=few),
    Story("rfm_champion", "no_money", lambda d: champion(count=2, money=d), AFTER, before=True, params=few),
    Story("rfm_champion", "recency", lambda d: champion(at=START - DAY - 3 + d, count=2), SAME, params=few),
    Story(
        "rfm_champion", "recency_exit", lambda d: champion(at=START - DAY - 8 + d, count=2), AFTER, before=True,
        params=few,
    ),
    Story(
        "rfm_champion", "buyers", lambda d: champion(count=2, others=20 + d), AFTER,
        params=lambda d: {"buyers": 20, "history": "1d"},
    ),
    Story(
        "rfm_champion", "history",
        lambda d: said(
            *orders(NOW, NOW), spend(9999), *money_of_others(20, 10), spend(1, edge(181) - d, "first")
        ), SAME,
        params=lambda d: {"buyers": 3},
    ),
]  # fmt: skip
