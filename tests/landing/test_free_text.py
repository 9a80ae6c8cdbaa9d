"""Contact details typed where no field asks for them: analytics sees a placeholder, the vault keeps what was said."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
import pytest

from pipelines.entities.checks import looks_personal
from pipelines.landing import store, vault
from pipelines.landing.free_text import form_of
from pipelines.landing.layout import sealed_personal
from schemas.entities import ENTITIES
from tests.landing.support import counts, customer, event, land, reasons, row, rows, tenant


def sealed(where, entity: str, batch_id: str) -> list[dict[str, Any]]:
    data = b"".join(vault.unseal(where, sealed_personal(where, entity, batch_id)))
    return pl.read_ipc(io.BytesIO(data)).to_dicts()


def test_a_masked_row_is_accepted_counted_and_kept_in_the_vault(tmp_path):
    where = tenant(tmp_path)
    said = {"query": "pot for jane@example.com", "coupon": "call 07700 900123"}
    receipt = land(where, "customer_events", [event(external_id="e-0"), event(**said)])
    assert counts(receipt) == (2, 2, 0, 0, 0)
    assert receipt.masked == {"coupon": 1, "query": 1}
    assert store.find_receipt(where, "customer_events", receipt.batch_id) == receipt
    found = rows(where, "customer_events")[1]
    assert (found["query"], found["coupon"]) == ("pot for [email]", "call [phone]")
    (kept,) = sealed(where, "customer_events", receipt.batch_id)
    assert (kept["line_no"], kept["external_id"], json.loads(kept["free_text"])) == (2, "e-1", said)


def test_equal_records_stay_equal(tmp_path):
    where = tenant(tmp_path)
    same = event(query="jane@example.com")
    assert land(where, "customer_events", [same, same]).duplicate == 1
    assert land(where, "customer_events", [event(external_id="e-2"), same]).duplicate == 1


@pytest.mark.parametrize("value", ["jane@example.com", "customer/+447700900123", "mailto:jane%40example.com"])
def test_a_row_with_a_contact_detail_for_an_id_is_refused(tmp_path, value):
    where = tenant(tmp_path)
    bad = [
        event(external_id=value),
        event(customer_id=value),
        event(flockr_vid=value),
        event(products=[{"product_id": value}]),
    ]
    assert counts(land(where, "customer_events", [*bad, event()])) == (5, 1, 0, 0, 4)
    names = ("external_id", "customer_id", "flockr_vid", "products")
    assert reasons(where, "customer_events") == {i: f"personal_data:{name}" for i, name in enumerate(names, start=1)}


@pytest.mark.parametrize("value", ["00123", "07700900123", "447700900123", "4111111111111111", "ord+1", "a@b"])
def test_ids_of_digits_are_ids(tmp_path, value):
    where = tenant(tmp_path)
    assert land(where, "customer_events", [event(external_id=value, customer_id=value)]).accepted == 1
    assert row(where, "customer_events")["external_id"] == value


def test_attributes_are_masked_by_value_by_key_and_by_what_the_key_says(tmp_path):
    where = tenant(tmp_path)
    given = {
        "note": "jane@example.com",
        "list": ["a", "07700 900123"],
        "jane@example.com": 1,
        "joe@example.com": 2,
        "Phone": 7700900123,
        "surname": "Markedlast",
        "size": 42,
        "sku": "0012345678905",
    }
    receipt = land(where, "customer_events", [event(attributes=given)])
    assert json.loads(row(where, "customer_events")["attributes"]) == {
        "note": "[email]",
        "list": ["a", "[phone]"],
        "[email]": 1,
        "[email] 2": 2,
        "Phone": "[personal]",
        "surname": "[personal]",
        "size": 42,
        "sku": "0012345678905",
    }
    (kept,) = sealed(where, "customer_events", receipt.batch_id)
    assert json.loads(json.loads(kept["free_text"])["attributes"]) == given


def test_nested_fields_are_masked_and_their_codes_are_not(tmp_path):
    where = tenant(tmp_path)
    consents = [{"channel": "email", "status": "opted_in", "source": "jane@example.com"}]
    land(where, "customers", [customer(consents=consents, tags=["vip", "+44 7700 900123"], email="jane@example.com")])
    found = row(where, "customers")
    assert json.loads(found["consents"])[0]["source"] == "[email]"
    assert json.loads(found["tags"]) == ["vip", "[phone]"]
    land(where, "customer_events", [event(products=[{"product_id": "07700900123", "variant": '07700900123 " x'}])])
    assert json.loads(row(where, "customer_events")["products"]) == [
        {"product_id": "07700900123", "variant": '[phone] " x'}
    ]


def test_a_product_id_of_digits_costs_no_close_look(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr("pipelines.landing.free_text._masked_json", lambda *given: looked.append(given))
    where = tenant(tmp_path)
    product = {"product_id": "07700900123", "quantity": "1", "unit_price_minor": 12345678, "variant": "red"}
    assert land(where, "customer_events", [event(products=[product])]).accepted == 1
    assert looked == []


def test_a_patch_is_masked_too(tmp_path):
    where = tenant(tmp_path)
    land(where, "customers", [customer(op="patch", tags=["jane@example.com"])])
    found = row(where, "customers")
    assert (found["tags"], found["patch_fields"]) == ('["[email]"]', '["tags","updated_at"]')


def test_every_stored_text_of_every_entity_is_looked_at():
    closed = {
        (name, column.name)
        for name, entity in ENTITIES.items()
        for column in entity.received
        if column in entity.stored and column.kind in ("string", "json") and form_of(column) == "closed"
    }
    unnamed = {(name, column) for name, column in closed if not _is_closed(name, column)}
    assert unnamed == set()


def _is_closed(entity: str, name: str) -> bool:
    column = next(column for column in ENTITIES[entity].received if column.name == name)
    return column.enum is not None or "currency" in name or name == "timezone"


def test_what_is_masked_passes_the_check_of_the_tables(tmp_path):
    where = tenant(tmp_path)
    said = ["%2F@example.com", "+4477009001234567", "x=a_b%40c.example.com", "+44 (0) 77 00-90 01 23", "logo@2x.png"]
    land(where, "customer_events", [event(external_id=f"e{i}", query=text) for i, text in enumerate(said)])
    found = store.scan(where, "customer_events").select(looks_personal(pl.col("query"))).collect()
    assert found.to_series().to_list() == [False] * len(said)
    assert pl.select(looks_personal(pl.lit("jane@example.com"))).item()
