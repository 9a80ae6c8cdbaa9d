"""Every field that a sender may fill, against a table of its own: name, requirement, kind, enum and reference.

The table says again what the contracts say, so that a field that is dropped, renamed or loosened does not go unnoticed.
A name ends with ``!`` where it is required, and with ``?`` where a condition at the door may require it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.landing import store
from schemas.entities import ENTITIES
from schemas.entities.envelope import ENVELOPE, Nested
from tests.landing.support import land, reasons, tenant

FIELDS: dict[str, str] = {
    "customers": """updated_at! email phone first_name last_name birth_date:date address:json gender loyalty_card_number
        home_outlet_id>outlets registered_at:timestamp language country status=active|inactive|blocked|erased
        consents:json tags:json merged_into>customers""",
    "customer_events": """event_name! occurred_at! customer_id?>customers flockr_vid? session_id
        channel=web|app|store|email|sms|call outlet_id>outlets campaign_id>campaigns link_id>links product_id?>products
        products?:json cart_id checkout_id order_id>transactions value_minor:int64 currency coupon query url_path
        resolution_event=login|signup|checkout|email_click device_type=mobile|desktop|other
        agent_class=human|bot|unknown message_ref failure_code step:int64""",
    "transactions": """updated_at! occurred_at! type!=sale|return|exchange|void|adjustment
        status!=open|paid|fulfilled|completed|partially_returned|cancelled business_date:date customer_id>customers
        outlet_id?>outlets channel!=store|web|app|marketplace|phone original_transaction_id?>transactions currency!
        gross_minor!:int64 discount_minor:int64 tax_minor:int64 shipping_minor:int64 net_minor!:int64
        tax_inclusive:boolean payment_method coupon_codes:json campaign_ids:json>campaigns loyalty_points_earned:int64
        loyalty_points_spent:int64 cashier_ref pos_id lines!:json""",
    "products": """updated_at! parent_id>products name! brand category_path! status!=active|discontinued|draft
        price_minor!:int64 currency! list_price_minor:int64 cost_minor:int64 gtin image_url url
        first_published_at:timestamp launch_at:timestamp discontinued_at:timestamp tax_class unit=each|kg|l
        available_quantity:json tags:json""",
    "groups": """updated_at! name! kind!=national|region|custom|banner|franchise parent_id>groups
        outlet_ids:json>outlets valid_from:timestamp valid_to:timestamp timezone""",
    "outlets": """updated_at! name! kind!=store|warehouse|popup|online timezone! country! currency address:json
        latitude longitude opening_hours:json status=open|closed|planned opened_on:date closed_on:date
        group_ids:json>groups pos_ids:json phone""",
    "campaigns": """updated_at! name! type!=discount_coupon|promotion|loyalty|gift|referral|message
        channel!=email|sms|push|post|multi status!=draft|scheduled|live|paused|ended|archived starts_at:timestamp
        ends_at:timestamp launched_at:timestamp ended_at:timestamp archived_at:timestamp created_at:timestamp timezone
        external_ref group_id>groups audience_cohort_id products:json attribution_window_days:int64 organization_id
        application_id""",
    "campaign_customers": """updated_at! campaign_id!>campaigns customer_id!>customers variant! selected_at!
        channel!=email|sms|push|post|multi|phone suppression_reason=opted_out|frequency_cap|no_contact|blocked""",
    "links": """updated_at! campaign_id!>campaigns destination_url! short_url label position:int64 product_id>products
        channel=email|sms|push|post|multi message_id_ref""",
    "referral_events": """name! occurred_at! referral_entity entity_id! campaign_id>campaigns referrer_id>customers
        invitee_id>customers invitee_reward_id referrer_reward_id organization_id application_id shape!=A|B
        description""",
    "opt_outs": """updated_at customer_id?>customers contact? channel!=email|sms|push|post|phone|all
        scope!=all|campaign|topic campaign_id>campaigns action!=opt_out|opt_in
        reason!=unsubscribe_link|stop_keyword|complaint|hard_bounce|preference_centre|agent|import|erasure source
        link_id>links occurred_at!""",
    "identity_links": """flockr_vid! customer_id!>customers resolution_event!=login|signup|checkout|email_click
        occurred_at!""",
    "stock_levels": """product_id!>products outlet_id?>outlets group_id?>groups on_hand!:quantity reserved!:quantity
        available!:quantity inbound_at:timestamp inbound_qty:quantity measured_at!""",
    "fx_rates": """updated_at! rate_date!:date from_currency! to_currency! rate_ppm!:int64""",
}
NESTED: dict[str, str] = {
    "customers.consents": "channel=email|sms|push|post|phone status=opted_in|opted_out|unknown updated_at:timestamp"
    " source campaign_id>campaigns",
    "customers.address": "line1 line2 city region postal_code country",
    "outlets.address": "line1 line2 city region postal_code country",
    "customer_events.products": "product_id>products quantity:quantity unit_price_minor:int64 currency position:int64"
    " variant",
    "transactions.lines": """line_no!:int64 product_id!>products quantity!:quantity unit_price_minor!:int64
        line_gross_minor!:int64 line_net_minor!:int64 line_discount_minor:int64 tax_rate category brand promotion_id
        returned_quantity:quantity original_line_no:int64 is_gift:boolean serial""",
    "products.available_quantity": """outlet_id>outlets group_id>groups on_hand:quantity reserved:quantity
        available:quantity inbound_at:timestamp inbound_qty:quantity measured_at:timestamp""",
    "campaigns.products": """product_id>products role=promoted|reward|qualifying|excluded
        offer_type=percent|amount|price|points|bogo offer_value max_quantity:int64 budget_minor:int64 group_id>groups
        valid_from:timestamp valid_to:timestamp""",
}


def parsed(table: str) -> list[tuple[str, bool, str, tuple[str, ...] | None, str | None]]:
    """name, required, kind, enum and reference of each word."""
    return [_parsed(word) for word in table.split()]


def _parsed(word: str) -> tuple[str, bool, str, tuple[str, ...] | None, str | None]:
    rest, _, reference = word.partition(">")
    rest, _, enum = rest.partition("=")
    name, _, kind = rest.partition(":")
    plain = name.rstrip("!?")
    by_name = "timestamp" if plain.endswith("_at") else "string"
    return plain, name.endswith("!"), kind or by_name, tuple(enum.split("|")) if enum else None, reference or None


def told(field: Any) -> tuple[str, bool, str, tuple[str, ...] | None, str | None]:
    return field.name, field.required, field.kind, field.enum, field.references


@pytest.mark.parametrize("name", ENTITIES)
def test_every_field_is_in_the_contract(name: str) -> None:
    assert [told(column) for column in ENTITIES[name].columns] == parsed(FIELDS[name])


def test_every_nested_field_is_in_the_contract() -> None:
    found: dict[str, tuple[Nested, ...]] = {
        f"{entity.name}.{column}": fields for entity in ENTITIES.values() for column, fields in entity.nested
    }
    assert {name: [told(field) for field in fields] for name, fields in found.items()} == {
        name: parsed(table) for name, table in NESTED.items()
    }


def test_the_envelope() -> None:
    assert [column.name for column in ENVELOPE] == [
        "external_id",
        "op",
        "message_id",
        "schema_version",
        "timezone",
        "attributes",
        "epoch_unit",
    ]


VALUES = {"timestamp": "2026-01-02T10:00:00Z", "date": "2026-01-02", "int64": 1, "quantity": "1.5", "boolean": True}
#: Values whose shape is more than their kind.
SPECIAL: dict[str, Any] = {
    "attributes": {"colour": "navy", "sizes": ["s", "m"]},
    "address": {"city": "Sampleton", "country": "GB"},
    "currency": "GBP",
    "from_currency": "GBP",
    "to_currency": "EUR",
    "country": "GB",
    "language": "en-GB",
    "timezone": "Europe/London",
    "gtin": "4006381333931",
    "latitude": "51.5",
    "longitude": "-0.1",
    "email": "ann@example.com",
    "phone": "+44 7700 900123",
    "contact": "ann@example.com",
    "schema_version": "1.0",
    "epoch_unit": "s",
    "op": "upsert",
    "type": "sale",
    "net_minor": 1,
    "discount_minor": 0,
    "shipping_minor": 0,
    "lines": [{"line_no": 1, "product_id": "p", "quantity": 1, "unit_price_minor": 1, "line_gross_minor": 1}],
}
SPECIAL["lines"][0]["line_net_minor"] = 1


def value(column: Any) -> Any:
    if column.name in SPECIAL and not (column.name == "type" and "sale" not in (column.enum or ())):
        return SPECIAL[column.name]
    if column.enum:
        return column.enum[0]
    return ["x"] if column.references and column.kind == "json" else VALUES.get(column.kind, f"{column.name}-1")


@pytest.mark.parametrize("name", ENTITIES)
def test_a_record_with_every_field_keeps_every_field(tmp_path: Path, name: str) -> None:
    """Lists of objects without a value of their own are tried empty-handed in the tests of nested values."""
    entity, where = ENTITIES[name], tenant(tmp_path)
    own = {column.name: value(column) for column in entity.received if column.kind != "json" or column.name in SPECIAL}
    lists = {c.name: ["x"] for c in entity.columns if c.kind == "json" and not entity.nested_fields(c.name)}
    receipt = land(where, name, [{**own, **lists}])
    assert reasons(where, name) == {}
    assert receipt.unknown_fields == {}
    row = store.scan(where, name).collect().row(0, named=True)
    empty = [c.name for c in entity.stored if row[c.name] is None and c.name in {*own, *lists}]
    assert empty == []
