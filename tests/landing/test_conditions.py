"""What depends on other fields: for each rule a row that breaks it and one that just does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.landing.support import event, land, reasons, tenant

AT = "2026-01-02T10:00:00Z"
LINE = {"line_no": 1, "product_id": "p", "quantity": 1, "unit_price_minor": 1000, "line_gross_minor": 1000}
SALE = {
    "external_id": "t-1",
    "updated_at": AT,
    "occurred_at": AT,
    "type": "sale",
    "status": "paid",
    "channel": "web",
    "currency": "GBP",
    "gross_minor": 1000,
    "net_minor": 1000,
    "lines": [{**LINE, "line_net_minor": 1000}],
}
BACK = {
    **SALE,
    "type": "return",
    "original_transaction_id": "t-0",
    "gross_minor": -1000,
    "net_minor": -1000,
    "lines": [{**LINE, "quantity": -1, "line_net_minor": -1000}],
}
STOCK = {"product_id": "p", "on_hand": 1, "reserved": 0, "available": 1, "measured_at": AT}
OPT_OUT = {"external_id": "o", "channel": "email", "scope": "all", "action": "opt_out", "reason": "agent"} | {
    "occurred_at": AT
}
CUSTOMER = {"external_id": "c-1", "updated_at": AT}
PRODUCT = {
    "external_id": "p-1",
    "updated_at": AT,
    "name": "Tea",
    "category_path": "drinks",
    "status": "active",
    "price_minor": 1,
    "currency": "GBP",
}
OUTLET = {"external_id": "o-1", "updated_at": AT, "name": "Mill", "kind": "store", "timezone": "UTC", "country": "GB"}
CAMPAIGN = {"external_id": "k", "updated_at": AT, "name": "K", "type": "gift", "channel": "email", "status": "live"}


def net(amount: int, count: int = 1) -> list[dict[str, Any]]:
    return [{**LINE, "line_no": n + 1, "line_net_minor": amount} for n in range(count)]


def about(name: str, **changes: Any) -> dict[str, Any]:
    return event(event_name=name, **changes)


#: entity, the good row, what makes it bad, the reason.
CASES = [
    (
        "customer_events",
        event(flockr_vid=..., customer_id="c"),
        {"customer_id": None},
        "missing_one_of:customer_id|flockr_vid",
    ),
    (
        "customer_events",
        about("Product Added", product_id="p"),
        {"product_id": ""},
        "missing_one_of:product_id|products",
    ),
    (
        "customer_events",
        about("Product Viewed", products=[{"product_id": "p"}]),
        {"products": []},
        "missing_one_of:product_id|products",
    ),
    ("transactions", {**SALE, "channel": "store", "outlet_id": "o"}, {"outlet_id": None}, "missing_with:outlet_id"),
    ("transactions", {**SALE, "channel": "phone"}, {"channel": "store"}, "missing_with:outlet_id"),
    *(
        (
            "transactions",
            {**BACK, "type": kind},
            {"original_transaction_id": ""},
            "missing_with:original_transaction_id",
        )
        for kind in ("return", "exchange", "void")
    ),
    ("transactions", BACK, {"gross_minor": 1000}, "wrong_sign:gross_minor"),
    ("transactions", BACK, {"net_minor": 1000}, "wrong_sign:net_minor"),
    (
        "transactions",
        {**SALE, "discount_minor": 100, "shipping_minor": 50, "net_minor": 950, "lines": net(900)},
        {"net_minor": 951},
        "amounts_disagree:net_minor",
    ),
    (
        "transactions",
        {**SALE, "tax_inclusive": False, "tax_minor": 200, "net_minor": 1200},
        {"tax_inclusive": True},
        "amounts_disagree:net_minor",
    ),
    ("transactions", {**SALE, "tax_minor": 200, "net_minor": 1200}, {"net_minor": 1100}, "amounts_disagree:net_minor"),
    (
        "transactions",
        {**SALE, "tax_inclusive": True, "tax_minor": 200},
        {"tax_inclusive": False},
        "amounts_disagree:net_minor",
    ),
    ("transactions", {**SALE, "lines": net(1001)}, {"lines": net(1002)}, "amounts_disagree:lines"),
    ("transactions", {**SALE, "lines": net(332, 3) + net(1)}, {"lines": net(331, 3)}, "amounts_disagree:lines"),
    (
        "transactions",
        {**SALE, "shipping_minor": 9, "net_minor": 1009, "lines": [*net(1000), *net(9)]},
        {"lines": net(500)},
        "amounts_disagree:lines",
    ),
    (
        "transactions",
        {**SALE, "payment_method": "card"},
        {"payment_method": "4111 1111 1111 1111"},
        "card_data:payment_method",
    ),
    (
        "transactions",
        {**SALE, "payment_method": "4111 1111 1111 1112"},
        {"payment_method": "5555-5555-5555-4444"},
        "card_data:payment_method",
    ),
    (
        "transactions",
        {**SALE, "attributes": {"ean": "4006381333931"}},
        {"attributes": {"n": "378282246310005"}},
        "card_data:attributes",
    ),
    (
        "transactions",
        {**SALE, "external_id": "4111111111111111"},
        {"cashier_ref": "4111111111111111"},
        "card_data:cashier_ref",
    ),
    *(
        ("transactions", SALE, {"lines": [{**net(1000)[0], name: None}]}, f"missing_required:lines.{name}")
        for name in (*LINE, "line_net_minor")
    ),
    ("stock_levels", {**STOCK, "group_id": "g"}, {"group_id": None}, "missing_one_of:outlet_id|group_id"),
    ("opt_outs", {**OPT_OUT, "customer_id": "c"}, {"customer_id": None}, "missing_one_of:customer_id|contact"),
    ("opt_outs", {**OPT_OUT, "contact": "ann@example.com"}, {"contact": " "}, "missing_one_of:customer_id|contact"),
    ("customers", {**CUSTOMER, "language": "en-GB"}, {"language": "en_GB"}, "invalid_language:language"),
    ("customers", {**CUSTOMER, "country": "GB"}, {"country": "UK"}, "invalid_country:country"),
    (
        "customers",
        {**CUSTOMER, "consents": [{"channel": "sms", "status": "unknown"}]},
        {"consents": [{"channel": "sms", "status": "maybe"}]},
        "not_in_enum:consents.status",
    ),
    ("products", {**PRODUCT, "gtin": "4006381333931"}, {"gtin": "4006381333932"}, "invalid_gtin:gtin"),
    ("products", {**PRODUCT, "gtin": "96385074"}, {"gtin": "9638507"}, "invalid_gtin:gtin"),
    ("products", {**PRODUCT, "currency": "JPY"}, {"currency": "JPX"}, "invalid_currency:currency"),
    ("outlets", {**OUTLET, "latitude": "-90", "longitude": 179.5}, {"latitude": "90.5"}, "invalid_coordinate:latitude"),
    ("outlets", {**OUTLET, "longitude": -0.1278}, {"longitude": "0° 7'"}, "invalid_coordinate:longitude"),
    ("outlets", {**OUTLET, "timezone": "Europe/Kyiv"}, {"timezone": "GMT+25"}, "invalid_timezone:timezone"),
    ("campaigns", CAMPAIGN, {"status": None}, "missing_required:status"),
    (
        "campaigns",
        {**CAMPAIGN, "products": [{"product_id": "p", "role": "reward"}]},
        {"products": [{"product_id": "p", "role": "prize"}]},
        "not_in_enum:products.role",
    ),
    (
        "customer_events",
        event(products=[{"product_id": "p", "currency": "EUR"}]),
        {"products": [{"product_id": "p", "currency": "euro"}]},
        "invalid_currency:products.currency",
    ),
]


@pytest.mark.parametrize(("entity", "good", "change", "reason"), CASES)
def test_one_good_row_and_one_bad(
    tmp_path: Path, entity: str, good: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    where = tenant(tmp_path)
    land(where, entity, [good, {**good, **change}])
    assert reasons(where, entity) == {2: reason}


@pytest.mark.parametrize("op", ["patch", "delete"])
def test_a_patch_or_tombstone_lacks_fields_by_design(tmp_path: Path, op: str) -> None:
    where = tenant(tmp_path)
    row = {"external_id": "t-1", "updated_at": AT, "op": op, "type": "return", "gross_minor": 5, "channel": "store"}
    assert land(where, "transactions", [row]).accepted == 1
    assert land(where, "customer_events", [event(op=op, event_name="Product Added", flockr_vid=...)]).accepted == 1


def test_a_void_may_say_what_it_takes_back_or_what_is_left(tmp_path: Path) -> None:
    void = {**SALE, "type": "void", "original_transaction_id": "t-0", "gross_minor": 0, "net_minor": 0}
    assert land(tenant(tmp_path), "transactions", [void]).accepted == 1


def test_rates_are_taken_under_the_name_of_their_day(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    rate = {"updated_at": AT, "from_currency": "GBP", "to_currency": "EUR", "rate_ppm": 1_170_000}
    receipt = land(where, "fx_rates", [{**rate, "date": "2026-01-02"}, {**rate, "rate_date": "2026-01-02"}])
    assert (receipt.accepted, receipt.duplicate, receipt.unknown_fields) == (1, 1, {})
