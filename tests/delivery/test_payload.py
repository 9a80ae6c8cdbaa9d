from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.payload import cohort_payload, decimal_text, retraction_payload
from schemas.events import ENVELOPE, EVENT_TYPES, json_schema
from tests.delivery.receivers import transition, transitions


def payload(**changes: object) -> str:
    text: str = transitions(transition(1, **changes)).select(cohort_payload()).item()
    return text


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_a_cohort_event_carries_its_context() -> None:
    data = json.loads(payload(last_order_at=datetime(2025, 12, 31, 23, 59, 58, 123000, tzinfo=UTC), days_since=4))
    assert data == {
        "cohort_id": "high_value_cart_abandoner",
        "definition_version": "1",
        "transition_id": "t1",
        "flockr_vid": "fv_1",
        "caused_by": "silence",
        "cart_total_value": "249.50",
        "cart_total_value_minor": 24950,
        "currency": "GBP",
        "cart_product_ids": ["sku-1", "sku-2"],
        "top_signal": "scarcity",
        "last_order_at": "2025-12-31T23:59:58.123Z",
        "days_since": 4,
    }


def test_a_customer_without_a_link_has_a_null_visitor_and_its_own_id() -> None:
    data = json.loads(payload(subject_type="customer", subject="c1", flockr_vid=None, external_id="c1"))
    assert data["flockr_vid"] is None
    assert data["external_id"] == "c1"


def test_an_amount_without_a_currency_stays_in_minor_units() -> None:
    data = json.loads(payload(currency=None))
    assert data["cart_total_value_minor"] == 24950
    assert "cart_total_value" not in data


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (24950, "GBP", "249.50"),
        (5, "GBP", "0.05"),
        (-5, "GBP", "-0.05"),
        (0, "EUR", "0.00"),
        (1234, "JPY", "1234"),
        (1234, "KWD", "1.234"),
        (9, "BHD", "0.009"),
        (9_007_199_254_740_993, "USD", "90071992547409.93"),
    ],
)
def test_money_is_exact_text_with_the_digits_of_its_currency(minor: int, currency: str, text: str) -> None:
    frame = pl.DataFrame({"minor": [minor], "currency": [currency]})
    assert frame.select(decimal_text(pl.col("minor"), pl.col("currency"))).item() == text


@given(st.text(min_size=1), st.text(min_size=1))
def test_the_text_is_canonical_json_whatever_the_strings(subject: str, cohort: str) -> None:
    text = payload(flockr_vid=subject, cohort_id=cohort)
    data = json.loads(text)
    assert (data["flockr_vid"], data["cohort_id"]) == (subject, cohort)
    assert text == canonical(data)


def test_a_retraction_repeats_the_data_and_names_what_it_takes_back() -> None:
    text = retraction_payload(payload(), "evt")
    assert json.loads(text) == {**json.loads(payload()), "supersedes": "evt"}
    assert text == canonical(json.loads(text))


def test_every_field_that_is_sent_is_in_the_contract_with_its_type() -> None:
    data = json.loads(
        payload(low_stock_product_ids="[]", external_id="c", order_count_365=1, ltv_minor=1, days_since=1)
    )
    schema = json_schema("murmuration.example", "cohort.entered")
    types = {str: "string", int: "integer", list: "array"}
    assert set(schema["required"]) <= set(data)
    for name, value in data.items():
        declared = schema["properties"][name]["type"]
        assert types[type(value)] in (declared if isinstance(declared, list) else [declared]), name


def test_retractions_require_what_they_supersede() -> None:
    for kind in EVENT_TYPES.values():
        assert ("supersedes" in json_schema("h", kind.name)["required"]) == (kind.retracts is not None)
    assert ENVELOPE[:4] == ("specversion", "id", "source", "type")
