"""Streams that rules may name, with their fields: the words of the language. Where their rows come from is elsewhere.

A row of a stream is one thing that a subject did or that happened to it. It belongs to the subject from ``since`` to
``until``; windows count from ``at``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["visitor", "customer", "product"]
FieldType = Literal["text", "flag", "number", "minor"]


@dataclass(frozen=True)
class Stream:
    """A kind of event.

    Attributes:
        subject: whose events they are.
        fields: name -> type; fields ``signal.<id>`` of a stream with ``product_id`` are the state of the product then.
        meaning: one sentence for people.
        one: what one is called.
        many: what several are called.
    """

    subject: Kind
    fields: Mapping[str, FieldType]
    meaning: str
    one: str
    many: str


_PRODUCT: dict[str, FieldType] = {"product_id": "text", "category": "text", "session_id": "text", "outlet_id": "text"}
_SESSION: dict[str, FieldType] = {"session_products": "number", "session_repeats": "number", "session_adds": "number"}
_ORDER: dict[str, FieldType] = {
    "order_id": "text",
    "side": "text",
    "channel": "text",
    "outlet_id": "text",
    "group_id": "text",
    "campaign_id": "text",
    "discounted": "flag",
    "net_minor": "minor",
}

VISITOR: Mapping[str, Stream] = {
    "view": Stream("visitor", {**_PRODUCT, **_SESSION}, "A product was looked at.", "view", "views"),
    "add": Stream("visitor", _PRODUCT, "A product was put into the cart.", "add to bag", "adds to bag"),
    "remove": Stream("visitor", _PRODUCT, "A product was taken out of the cart.", "removal", "removals"),
    "wishlist": Stream("visitor", _PRODUCT, "A product was put on the wishlist.", "wish", "wishes"),
    "unwishlist": Stream("visitor", _PRODUCT, "A product was taken off the wishlist.", "wish undone", "wishes undone"),
    "alert": Stream("visitor", _PRODUCT, "A stock alert was requested.", "stock alert", "stock alerts"),
    "checkout": Stream("visitor", {"session_id": "text"}, "A checkout was started.", "checkout", "checkouts"),
    "buy": Stream(
        "visitor",
        {"product_id": "text", "category": "text", "order_id": "text", "discounted": "flag"},
        "A product was bought, online or by the linked customer.",
        "purchase",
        "purchases",
    ),
    "order": Stream("visitor", {"order_id": "text"}, "An order that counts was placed.", "order", "orders"),
    "cart_activity": Stream("visitor", {"cart_open": "flag"}, "Something changed the cart.", "cart step", "cart steps"),
    "activity": Stream("visitor", {}, "Any event of the visitor.", "event", "events"),
    "scarce_day": Stream(
        "visitor",
        {"product_id": "text", "scarce": "flag", "converted": "flag"},
        "A product was viewed on a day; whether it was scarce at a view, and added or bought within a day after one.",
        "product and day",
        "products and days",
    ),
}
CUSTOMER: Mapping[str, Stream] = {
    "order": Stream("customer", _ORDER, "An order that counts, until all of it came back.", "order", "orders"),
    "spend": Stream("customer", {"net_minor": "minor"}, "Money of sales, less that of returns.", "payment", "payments"),
    "sold": Stream("customer", {"net_minor": "minor"}, "Money of sales, returned or not.", "sale", "sales"),
    "returned": Stream("customer", {"net_minor": "minor"}, "Money that came back, by the sale.", "return", "returns"),
    "link_click": Stream(
        "customer", {"campaign_id": "text", "link_id": "text"}, "A person clicked a campaign's link.", "click", "clicks"
    ),
    "campaign_order": Stream(
        "customer",
        {"campaign_id": "text", "order_id": "text"},
        "An order with a product of a campaign.",
        "order of a campaign",
        "orders of a campaign",
    ),
    "referral_accepted": Stream(
        "customer", {"campaign_id": "text"}, "A referral was accepted.", "accepted referral", "accepted referrals"
    ),
    "referral_flagged": Stream(
        "customer",
        {"campaign_id": "text"},
        "A referral was flagged, until it is accepted or rejected.",
        "flagged referral",
        "flagged referrals",
    ),
    "opt_out": Stream(
        "customer", {"channel": "text", "reason": "text"}, "An opt-out, until an opt-in.", "opt-out", "opt-outs"
    ),
}
PRODUCT: Mapping[str, Stream] = {
    "crossing": Stream(
        "product",
        {"signal": "text", "from_state": "text", "to_state": "text", "product_id": "text"},
        "A signal of a product changed its state.",
        "crossing",
        "crossings",
    ),
}


def streams(subject: str) -> Mapping[str, Stream]:
    """Streams that a cohort of visitors or customers may name; those of products are reached through ``same``."""
    return {**(VISITOR if subject == "visitor" else CUSTOMER), **PRODUCT}
