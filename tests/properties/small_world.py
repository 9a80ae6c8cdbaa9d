"""A strategy for tiny retailers: few ids and few instants, so that records meet, and midnights, so that days do.

Every record is valid on its own; together they may be as odd as senders are: patches of what is not there, returns
before their sale, two versions of one instant, ids that move from day to day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.properties.valid import valid

Drawn = tuple[str, dict[str, Any]]

#: Four days in London, of which the third has 25 hours: begin, middle and last moment of each, and the hour that
#: happens twice.
_MIDNIGHTS = [datetime(2025, 10, day, hour, tzinfo=UTC) for day, hour in ((23, 23), (24, 23), (25, 23), (27, 0))]
INSTANTS = sorted(
    {
        *_MIDNIGHTS,
        *(midnight - timedelta(microseconds=1) for midnight in _MIDNIGHTS[1:]),
        *(midnight + timedelta(hours=hours) for midnight in _MIDNIGHTS for hours in (1, 9, 15)),
        datetime(2025, 10, 26, 0, 30, tzinfo=UTC),
        datetime(2025, 10, 26, 1, 30, tzinfo=UTC),
    }
)
TIMES = st.sampled_from([instant.isoformat().replace("+00:00", "Z") for instant in INSTANTS])
VISITORS = st.sampled_from(["v1", "v2"])
CUSTOMERS = st.sampled_from(["c1", "c2"])
PRODUCTS = st.sampled_from(["p1", "p2"])
ORDERS = st.sampled_from(["t1", "t2", "t3"])
OUTLETS = st.sampled_from(["o1", "o2"])
GROUPS = st.sampled_from(["g1", "g2"])
PRICES = st.sampled_from([1000, 2500])
QUANTITIES = st.sampled_from(["1", "2", "10"])
CURRENCIES = st.sampled_from(["GBP", "GBP", "GBP", "EUR"])


def _record(required: dict[str, Any], optional: dict[str, Any], clock: str) -> st.SearchStrategy[dict[str, Any]]:
    """Upserts mostly; a patch names some of the fields, a tombstone none."""
    upsert = st.fixed_dictionaries(required, optional=optional)
    kept = {name: required[name] for name in ("external_id", clock) if name in required}
    others = {name: value for name, value in {**required, **optional}.items() if name not in kept}
    cleared = {name: st.none() | value for name, value in optional.items()}
    patch = st.fixed_dictionaries({**kept, "op": st.just("patch")}, optional={**others, **cleared})
    delete = st.fixed_dictionaries({**kept, "op": st.just("delete")})
    return st.one_of(upsert, upsert, upsert, patch, delete)


def _lines(optional_price: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    if optional_price:
        line = st.fixed_dictionaries(
            {"product_id": PRODUCTS, "quantity": QUANTITIES}, optional={"unit_price_minor": PRICES}
        )
    else:
        line = st.fixed_dictionaries({"product_id": PRODUCTS, "quantity": QUANTITIES, "line_net_minor": PRICES})
    return st.lists(line, min_size=1, max_size=2)


_EVENT = {
    "external_id": st.sampled_from(["e1", "e2", "e3", "e4", "e5", "e6"]),
    "occurred_at": TIMES,
    "event_name": st.sampled_from(
        [
            "Product Added",
            "Order Completed",
            "Product Viewed",
            "Product Removed",
            "Checkout Started",
            "Link Clicked",
            "Product Added to Wishlist",
            "Checkout Step Completed",
        ]
    ),
}
_EVENT_OPTIONS = {
    "flockr_vid": VISITORS,
    "customer_id": CUSTOMERS,
    "session_id": st.sampled_from(["s1", "s2"]),
    "cart_id": st.just("cart"),
    "product_id": PRODUCTS,
    "products": _lines(True),
    "order_id": ORDERS,
    "link_id": st.just("l1"),
    "campaign_id": st.just("k1"),
    "resolution_event": st.sampled_from(["login", "checkout"]),
    "agent_class": st.sampled_from(["human", "bot"]),
}
_TRANSACTION = {
    "external_id": ORDERS,
    "updated_at": TIMES,
    "occurred_at": TIMES,
    "type": st.sampled_from(["sale", "sale", "sale", "return", "void"]),
    "status": st.sampled_from(["completed", "completed", "cancelled", "open"]),
    "channel": st.sampled_from(["web", "store"]),
    "currency": CURRENCIES,
    "gross_minor": PRICES,
    "net_minor": PRICES,
    "lines": _lines(False),
}
_TRANSACTION_OPTIONS = {
    "customer_id": CUSTOMERS,
    "outlet_id": OUTLETS,
    "original_transaction_id": ORDERS,
    "campaign_ids": st.just(["k1"]),
    "coupon_codes": st.lists(st.just("TEN"), max_size=1),
    "discount_minor": PRICES,
}
_STOCK_ENTRY = st.fixed_dictionaries(
    {"outlet_id": OUTLETS, "on_hand": QUANTITIES, "reserved": st.just("0")}, optional={"measured_at": TIMES}
)
_PRODUCT = {
    "external_id": PRODUCTS,
    "updated_at": TIMES,
    "name": st.sampled_from(["Tea", "Pot"]),
    "category_path": st.sampled_from(["home > kitchen", "garden"]),
    "status": st.just("active"),
    "price_minor": PRICES,
    "currency": CURRENCIES,
}
_PRODUCT_OPTIONS = {"first_published_at": TIMES, "available_quantity": st.lists(_STOCK_ENTRY, max_size=2)}
_OUTLET = {
    "external_id": OUTLETS,
    "updated_at": TIMES,
    "name": st.just("Mill Lane"),
    "kind": st.sampled_from(["store", "online"]),
    "status": st.just("open"),
    "timezone": st.sampled_from(["Europe/London", "Pacific/Auckland"]),
    "country": st.just("GB"),
}
_GROUP = {
    "external_id": GROUPS,
    "updated_at": TIMES,
    "name": st.just("North"),
    "kind": st.just("region"),
}
_GROUP_OPTIONS = {"parent_id": GROUPS, "outlet_ids": st.lists(OUTLETS, max_size=2, unique=True)}
_CUSTOMER_OPTIONS = {"language": st.just("en"), "home_outlet_id": OUTLETS, "merged_into": CUSTOMERS}
_REFERRAL = {
    "name": st.sampled_from(["referral.created", "referral.flagged", "referral.accepted"]),
    "entity": st.just("referral"),
    "entityId": st.sampled_from(["r1", "r2"]),
    "campaignId": st.just("k1"),
    "timestamp": TIMES,
}
_REFERRAL_OPTIONS = {"data": st.fixed_dictionaries({"referrer": st.fixed_dictionaries({"id": CUSTOMERS})})}
_CAMPAIGN = {
    "external_id": st.just("k1"),
    "updated_at": TIMES,
    "name": st.sampled_from(["Spring", "Autumn"]),
    "type": st.just("promotion"),
    "channel": st.just("email"),
    "status": st.just("live"),
}
_CAMPAIGN_OPTIONS = {
    "starts_at": TIMES,
    "ends_at": TIMES,
    "audience_cohort_id": st.just("repeat_purchaser"),
    "attribution_window_days": st.sampled_from([1, 2]),
    "products": st.lists(st.fixed_dictionaries({"product_id": PRODUCTS}), max_size=2),
}
_SELECTION = {
    "updated_at": TIMES,
    "campaign_id": st.just("k1"),
    "customer_id": CUSTOMERS,
    "variant": st.sampled_from(["a", "b"]),
    "selected_at": TIMES,
    "channel": st.just("email"),
}
_LINK = {
    "external_id": st.just("l1"),
    "updated_at": TIMES,
    "campaign_id": st.just("k1"),
    "destination_url": st.sampled_from(["https://shop.example.com/a", "https://shop.example.com/b"]),
}
_OPT_OUT = {
    "external_id": st.sampled_from(["u1", "u2"]),
    "updated_at": TIMES,
    "occurred_at": TIMES,
    "channel": st.just("email"),
    "scope": st.sampled_from(["all", "campaign"]),
    "action": st.sampled_from(["opt_out", "opt_in"]),
    "reason": st.just("unsubscribe_link"),
}
_STOCK = {"product_id": PRODUCTS, "on_hand": QUANTITIES, "reserved": st.just("0"), "measured_at": TIMES}
_IDENTITY = {
    "flockr_vid": VISITORS,
    "customer_id": CUSTOMERS,
    "resolution_event": st.sampled_from(["login", "signup"]),
    "occurred_at": TIMES,
}


def _without_id(required: dict[str, Any], optional: dict[str, Any], key: str) -> st.SearchStrategy[dict[str, Any]]:
    """Records whose id is the hash of what they say; now and then one with an id of its own, which may be replaced."""
    own = {"external_id": st.just(key), **required}
    clock = "updated_at" if "updated_at" in required else next(n for n in required if n.endswith("_at"))
    return st.one_of(st.fixed_dictionaries(required, optional=optional), _record(own, optional, clock))


def _of(entity: str, records: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Drawn]:
    return st.tuples(st.just(entity), records.map(lambda record: valid(entity, record)))


EVENTS = _of("customer_events", _record(_EVENT, _EVENT_OPTIONS, "occurred_at"))
TRANSACTIONS = _of("transactions", _record(_TRANSACTION, _TRANSACTION_OPTIONS, "updated_at"))
OTHERS = st.one_of(
    _of("products", _record(_PRODUCT, _PRODUCT_OPTIONS, "updated_at")),
    _of("identity_links", _without_id(_IDENTITY, {}, "i1")),
    _of("stock_levels", _without_id({**_STOCK, "available": QUANTITIES}, {"outlet_id": OUTLETS}, "m1")),
    _of("outlets", _record(_OUTLET, {"currency": CURRENCIES, "group_ids": st.lists(GROUPS, max_size=2)}, "updated_at")),
    _of("groups", _record(_GROUP, _GROUP_OPTIONS, "updated_at")),
    _of("referral_events", st.fixed_dictionaries(_REFERRAL, optional=_REFERRAL_OPTIONS)),
    _of("campaigns", _record(_CAMPAIGN, _CAMPAIGN_OPTIONS, "updated_at")),
    _of("campaign_customers", _without_id(_SELECTION, {"suppression_reason": st.just("opted_out")}, "s1")),
    _of("links", _record(_LINK, {"label": st.sampled_from(["top", "foot"])}, "updated_at")),
    _of("opt_outs", _record(_OPT_OUT, {"link_id": st.just("l1"), "customer_id": CUSTOMERS}, "updated_at")),
    _of("customers", _record({"external_id": CUSTOMERS, "updated_at": TIMES}, _CUSTOMER_OPTIONS, "updated_at")),
)
#: Half of the records happen, a quarter is bought, the rest is what they refer to.
RECORDS = st.one_of(EVENTS, TRANSACTIONS, OTHERS, EVENTS, TRANSACTIONS, OTHERS)
