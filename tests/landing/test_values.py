"""Ids, numbers and texts arrive as they were written."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing import values
from tests.landing.support import event, land, row, tenant


@pytest.mark.parametrize(
    ("sent", "column", "stored"),
    [
        ({"external_id": "00123"}, "external_id", "00123"),
        ({"external_id": 9007199254740993}, "external_id", "9007199254740993"),
        ({"external_id": "Ünïcode 🐦"}, "external_id", "Ünïcode 🐦"),
        ({"value_minor": 999_999_999_999_999}, "value_minor", 999_999_999_999_999),
        ({"value_minor": "-007"}, "value_minor", -7),
        ({"coupon": 2.7}, "coupon", "2.7"),
        ({"coupon": ""}, "coupon", ""),
        ({"coupon": True}, "coupon", "true"),
        ({"coupon": "line\nbreak"}, "coupon", "line\nbreak"),
        ({"customer_id": ""}, "customer_id", None),
        ({"url_path": "/p/1?email=ann@example.com#top"}, "url_path", "/p/1"),
        ({"url_path": "https://ann@shop.example/p/1?x"}, "url_path", "/p/1"),
        ({"attributes": {"b": [1, "x"], "a": 9007199254740993}}, "attributes", '{"a":9007199254740993,"b":[1,"x"]}'),
        (
            {"products": [{"unit_price_minor": 5, "quantity": 2.7, "product_id": '00"1', "secret": "x"}]},
            "products",
            '[{"product_id":"00\\"1","quantity":2700,"unit_price_minor":5}]',
        ),
        (
            {"products": [{"product_id": 1, "quantity": "0.005"}, {}]},
            "products",
            '[{"product_id":"1","quantity":5},{}]',
        ),
        ({"products": []}, "products", "[]"),
        ({"products": None}, "products", None),
    ],
)
def test_values_survive(tmp_path: Path, sent: dict[str, Any], column: str, stored: Any) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", [event(**sent)])
    assert row(where, "customer_events")[column] == stored


def test_the_original_text_stays_beside_the_value(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", [event(occurred_at="2026-01-02T12:00:00+02:00", value_minor="0050")])
    found = row(where, "customer_events")
    assert (found["occurred_at__text"], found["value_minor__text"]) == ("2026-01-02T12:00:00+02:00", "0050")
    assert found["value_minor"] == 50


@given(st.lists(st.decimals(-(10**12) + 1, 10**12 - 1, places=3), min_size=1, max_size=5))
def test_quantities_are_exact_thousandths(found: list[Decimal]) -> None:
    texts = pl.Series([format(d, "f") for d in found])
    assert values.quantities(texts).to_list() == [int(d * 1000) for d in found]


@given(st.text(max_size=6))
def test_only_digits_make_an_integer(text: str) -> None:
    digits = text.removeprefix("-")
    expected = int(text) if digits.isascii() and digits.isdigit() else None
    assert values.integers(pl.Series([text])).item() == expected
