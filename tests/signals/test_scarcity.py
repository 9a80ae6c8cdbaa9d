"""Scarcity at its bounds, hysteresis on the way up, and stock summed over places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import signals
from pipelines.signals.measures import scarcity, stock
from pipelines.signals.measures.scarcity import Sales


@pytest.fixture
def signal(tenant):
    return signals(tenant)["scarcity_state"]


def arrays(*values):
    return [np.array([value], dtype=np.int64) for value in values]


def level(signal, available, units=0, days=1, sold=1, percent=100):
    index = np.zeros(1, dtype=np.int64)
    found = scarcity.levels(np.array([available]), Sales(*arrays(units, days, sold)), index, signal, percent)
    return scarcity.names(signal)[int(found[0])]


@pytest.mark.parametrize(
    ("available", "units", "sold", "expected"),
    [
        (0, 0, 0, "out"),
        (1, 0, 0, "critical"),
        (3000, 0, 0, "critical"),
        (3001, 0, 0, "low"),
        (10_000, 0, 0, "low"),
        (10_001, 0, 0, "healthy"),
        (30_000, 10_000, 1, "critical"),
        (30_001, 10_000, 1, "low"),
        (30_000, 10_000, 0, "low"),
        (70_000, 10_000, 0, "low"),
        (70_001, 10_000, 0, "limited"),
        (140_000, 10_000, 0, "limited"),
        (140_001, 10_000, 0, "healthy"),
    ],
)
def test_levels_at_their_bounds(signal, available, units, sold, expected):
    assert level(signal, available, units, sold=sold) == expected


def walk(signal, *quantities, restock=False):
    products = Products({"available": 0, "scarcity": scarcity.UNMEASURED})
    index = products.index(pl.Series(["p"]))
    for quantity in quantities:
        before = products["available"].copy()
        products["available"][:] = quantity
        scarcity.move(products, Sales(*arrays(0, 1, 0)), signal, index, (before <= 0) & (products["available"] > 0))
    return scarcity.names(signal)[int(products["scarcity"][0])]


def test_improving_needs_more_than_getting_worse_did(signal):
    assert walk(signal, 3000, 3750) == "critical"
    assert walk(signal, 3000, 3751) == "low"
    assert walk(signal, 10_000, 12_500) == "low"
    assert walk(signal, 10_000, 12_501) == "healthy"
    assert walk(signal, 3000, 0, 10_001) == "healthy", "a restock from zero is not held back"


def test_stock_is_the_newest_measurement_of_each_place():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    rows = [
        ("p", "o1", None, noon, "a", 4000, None),
        ("p", "o2", None, noon, "b", 1000, noon),
        ("p", "o1", None, noon + hour, "c", 500, None),
    ]
    instant = pl.Datetime("us", "UTC")
    schema = {"product_id": pl.String, "outlet_id": pl.String, "group_id": pl.String}
    measured = pl.DataFrame(
        rows,
        schema={
            **schema,
            "measured_at": instant,
            "external_id": pl.String,
            "available": pl.Int64,
            "inbound_at": instant,
        },
        orient="row",
    )
    carried = pl.DataFrame([("p", "o1", None, 9000, None)], schema=stock.PLACES, orient="row")
    apart = pl.DataFrame(schema={"inner": pl.String, "outer": pl.String})
    start, steps, places = stock.steps_of_day(measured, carried, apart)
    assert start.rows() == [("p\x1f", 9000)]
    assert steps.select("slot", "measured_at", "available").rows() == [
        ("p\x1f", noon, 5000),
        ("p\x1fo:o1", noon, 4000),
        ("p\x1fo:o2", noon, 1000),
        ("p\x1f", noon + hour, 1500),
        ("p\x1fo:o1", noon + hour, 500),
    ]
    micros = int(noon.timestamp()) * 1_000_000
    assert sorted(places.select("outlet_id", "available", "inbound_at").rows()) == [
        ("o1", 500, None),
        ("o2", 1000, micros),
    ]
