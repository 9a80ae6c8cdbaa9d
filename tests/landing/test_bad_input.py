"""Each kind of bad input has its typed reason, and the good rows beside it land."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import UsageError
from pipelines.landing import store
from pipelines.landing.ingest import ingest_file
from tests.landing.support import NOW, counts, event, land, ndjson, parquet, reasons, tenant, zipped

LINE = {
    "line_no": 1,
    "product_id": "p-1",
    "quantity": 1,
    "unit_price_minor": 1000,
    "line_gross_minor": 1000,
    "line_net_minor": 1000,
}
TRANSACTION = {
    "external_id": "t-1",
    "updated_at": "2026-01-02T10:00:00Z",
    "occurred_at": "2026-01-02T10:00:00Z",
    "type": "sale",
    "status": "paid",
    "channel": "web",
    "currency": "GBP",
    "gross_minor": 1000,
    "net_minor": 1000,
    "lines": [LINE],
}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (event(external_id=...), "missing_required:external_id"),
        (event(external_id=""), "missing_required:external_id"),
        (event(external_id="x" * 129), "invalid_id:external_id"),
        (event(external_id="a\tb"), "invalid_id:external_id"),
        (event(external_id={"a": 1}), "invalid_id:external_id"),
        (event(customer_id="a\u0085b"), "invalid_id:customer_id"),
        (event(message_id="m" * 101), "invalid_id:message_id"),
        (event(event_name=...), "missing_required:event_name"),
        (event(occurred_at=...), "missing_required:occurred_at"),
        (event(occurred_at="yesterday"), "invalid_timestamp:occurred_at"),
        (event(occurred_at="2026-02-30T00:00:00Z"), "invalid_timestamp:occurred_at"),
        (event(occurred_at="2026-01-02T10:00:00", timezone="Mars/Base"), "invalid_timezone:timezone"),
        (event(channel="pigeon"), "not_in_enum:channel"),
        (event(op="destroy"), "not_in_enum:op"),
        (event(value_minor=2.5), "invalid_integer:value_minor"),
        (event(value_minor=9007199254740993.5), "invalid_integer:value_minor"),
        (event(value_minor=10**15), "out_of_range:value_minor"),
        (event(value_minor=10**30), "invalid_integer:value_minor"),
        (event(currency="pounds"), "invalid_currency:currency"),
        (event(schema_version="2.0"), "unknown_major_version"),
        (event(schema_version="new"), "invalid_schema_version:schema_version"),
        (event(attributes={f"k{n}": n for n in range(201)}), "too_many_attributes:attributes"),
        (event(attributes={"a": {"b": 1}}), "nested_attribute:attributes"),
        (event(products="apples"), "invalid_json:products"),
        (event(products=[1]), "invalid_json:products"),
        (event(products=[{"quantity": "1.2345"}]), "invalid_quantity:products.quantity"),
        (event(products=[{"unit_price_minor": 1.5}]), "invalid_integer:products.unit_price_minor"),
        ('{"external_id": "e-9", ', "malformed_json"),
        ("[1, 2]", "malformed_json"),
        ("null", "malformed_json"),
        ('{"external_id": "e-1", "external_id": "e-2"}', "duplicate_key_in_row"),
        ('{"external_id": "e\\u0000"}', "invalid_id:external_id"),
    ],
)
def test_a_bad_row_has_its_reason_and_stops_no_good_row(tmp_path: Path, bad: Any, reason: str) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customer_events", [event(external_id="g-1"), bad, event(external_id="g-2")])
    assert reasons(where, "customer_events") == {2: reason}
    assert counts(receipt) == (3, 2, 0, 0, 1)
    assert store.scan(where, "customer_events").collect().height == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lines": []}, "missing_required:lines"),
        ({"lines": None}, "missing_required:lines"),
        ({"currency": None}, "missing_required:currency"),
        ({"business_date": "2026-13-01"}, "invalid_date:business_date"),
        ({"tax_inclusive": "perhaps"}, "invalid_boolean:tax_inclusive"),
        ({"campaign_ids": ["a", 2.5]}, "invalid_id:campaign_ids"),
        ({"lines": [{**LINE, "product_id": "p" * 129}]}, "invalid_id:lines.product_id"),
    ],
)
def test_a_bad_transaction(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    where = tenant(tmp_path)
    land(where, "transactions", [{**TRANSACTION, **change}])
    assert reasons(where, "transactions") == {1: reason}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.ndjson", b"", "empty_file"),
        ("a.ndjson", b" \n \n", "empty_file"),
        ("a.csv", b"", "empty_file"),
        ("a.ndjson", ndjson([event()]).decode().encode("utf-16"), "not_utf8:utf-16"),
        ("a.ndjson", ndjson([event()]).decode().encode("utf-16-le"), "not_utf8:utf-16"),
        ("a.csv", "external_id,café\n".encode("latin-1"), "not_utf8"),
        ("a.csv", b"external_id,external_id\na,b\n", "duplicate_column_in_header"),
        ("a.ndjson", ndjson([event(), event()]).replace(b"\n", b"\r"), "cr_line_ends"),
        ("a.ndjson.gz", zipped(ndjson([event()]))[:-12], "broken_gzip"),
        ("a.ndjson.gz", b"no gzip at all", "broken_gzip"),
        ("a.parquet", b"PAR1 and then nothing of the kind PAR1", "damaged_parquet"),
        ("a.parquet", parquet([event()])[:-20], "damaged_parquet"),
    ],
)
def test_an_unreadable_file_is_one_refused_row(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customer_events", data, name)
    assert (receipt.file_reason, counts(receipt)) == (reason, (1, 0, 0, 0, 1))
    assert reasons(where, "customer_events") == {0: reason}


def test_bytes_that_are_no_text_spoil_only_their_line(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    good = ndjson([event(external_id="g")])
    land(where, "customer_events", good + b'{"external_id": "caf\xe9"}\n' + b'{"external_id": "\x00"}\n')
    assert reasons(where, "customer_events") == {2: "invalid_utf8", 3: "nul_byte"}


def test_a_cut_off_last_line_is_named_as_such(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customer_events", ndjson([event(), event(external_id="e-2")])[:-10])
    assert reasons(where, "customer_events") == {2: "truncated_last_line"}
    assert counts(receipt) == (2, 1, 0, 0, 1)


def test_a_whole_last_line_needs_no_line_end(tmp_path: Path) -> None:
    receipt = land(tenant(tmp_path), "customer_events", ndjson([event(), event(external_id="e-2")])[:-1])
    assert counts(receipt) == (2, 2, 0, 0, 0)


def test_a_cut_off_array_keeps_its_whole_elements(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    data = b"[" + ndjson([event()]).strip() + b',\n{"external_id": "e-2", "occ'
    receipt = land(where, "customer_events", data, "a.json")
    assert reasons(where, "customer_events") == {2: "truncated_array"}
    assert counts(receipt) == (2, 1, 0, 0, 1)


def test_a_csv_row_with_too_few_or_many_cells(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    head = "external_id,flockr_vid,event_name,occurred_at\n"
    body = "a,v,View,2026-01-02T10:00:00Z\nb,View\nc,v,View,2026-01-02T10:00:00Z\nd,v,View,2026-01-02T10:00:00Z,more\n"
    receipt = land(where, "customer_events", (head + body).encode(), "a.csv")
    assert reasons(where, "customer_events") == {3: "wrong_column_count", 5: "wrong_column_count"}
    assert counts(receipt) == (4, 2, 0, 0, 2)
    assert store.scan(where, "customer_events").collect()["line_no"].sort().to_list() == [2, 4]


def test_what_cannot_be_tried_at_all_is_one_line(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    file = tmp_path / "rows.xlsx"
    file.write_bytes(b"x")
    for entity, path, words in [
        ("orders", file, "there is no entity 'orders'; entities: customers, customer_events"),
        ("customers", tmp_path, "is a directory"),
        ("customers", tmp_path / "gone.csv", "there is no such file"),
        ("customers", file, "format unknown"),
    ]:
        with pytest.raises(UsageError) as error:
            ingest_file(where, entity, path, received_at=NOW)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    assert not where.landing.exists()


def test_a_refused_row_shows_shapes_and_never_a_value(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [{"email": "ann@example.com", "phone": None, "ann@example.com": 1, "tags": ["a"]}])
    shown = store.quarantine(where, "customers")["redacted_row"].item()
    assert shown == '{"<key>":"integer","email":"string(15)","phone":"null","tags":"array(1)"}'
