"""Categories and prices of products as steps in valid time, and which days learn of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.signals import attributes
from pipelines.signals.attributes import BEGINNING, NONE
from tests.signals import retailer
from tests.signals.retailer import DAYS

START = datetime(2026, 10, 14, 12, tzinfo=UTC)
MONTH = timedelta(days=30)


def history(*rows):
    """(instant, price) or (instant, price, currency, category, deleted) of one product."""
    full = [(*row, *("GBP", "c", False)[len(row) - 2 :]) for row in rows]
    ends = [row[0] for row in full[1:]] + [None]
    return [
        {
            "external_id": "p",
            "category_path": category,
            "price_minor": price,
            "currency": currency,
            "effective_from": at,
            "effective_to": until,
            "updated_at": at,
            "is_deleted": deleted,
            "version_hash": "x",
        }
        for (at, price, currency, category, deleted), until in zip(full, ends, strict=True)
    ]


def lows(*rows):
    frame = retailer.frame("products_history", history(*rows), loose=True)
    return attributes.steps(frame, MONTH // timedelta(microseconds=1))


@pytest.mark.parametrize(("off", "low"), [(0, 1000), (1, 800)])
def test_the_lowest_price_is_one_in_effect_within_the_lookback(off, low):
    """800 was in effect until the second instant: exactly a month before the third it counts no more."""
    ended = START + timedelta(microseconds=off)
    found = lows((START - MONTH, 800), (ended, 1000), (START + MONTH, 900))
    assert found["low"].to_list() == [NONE, 800, low]
    assert found["at"][0] == BEGINNING and found["repriced"].to_list() == [False, True, True]


def test_other_currencies_and_deleted_versions_are_no_reference():
    found = lows((START, 500, "EUR"), (START + MONTH / 30, 1000), (START + MONTH / 15, 900))
    assert found["low"].to_list() == [NONE, NONE, 1000]
    gone = lows((START, 1000), (START + MONTH / 30, 700, "GBP", "c", True), (START + MONTH / 15, 900))
    assert gone["price"].to_list() == [1000, NONE, 900] and gone["low"].to_list()[-1] == 1000
    assert gone["category"][1] == 0


def test_a_version_that_leaves_the_price_is_no_step_of_it():
    found = lows((START, 1000), (START + MONTH / 30, 1000, "GBP", "d"), (START + MONTH / 15, 900))
    assert found["repriced"].to_list() == [False, False, True] and found["low"].to_list() == [NONE, NONE, 1000]
    assert found["category"].n_unique() == 2


def test_days_learn_of_what_they_use(tenant):
    shop = retailer.Shop(tenant.zone, acts=[("views", "p", START + timedelta(days=1), "v")])
    retailer.write(tenant, shop)

    def told(*rows):
        tenant.lake.replace("products_history", retailer.frame("products_history", history(*rows), loose=True))
        return attributes.used(tenant)

    first = told((START, 1000), (START + timedelta(days=3), 900))
    assert sorted(first) == [DAYS[1], DAYS[3]], "the first version is learnt on the day that names the product"
    assert told((START - MONTH, 1000), (START + timedelta(days=3), 900)) == first
    cheaper = told((START, 1000), (START + timedelta(days=3), 800))
    assert cheaper[DAYS[1]] == first[DAYS[1]] and cheaper[DAYS[3]] != first[DAYS[3]]
    other = told((START, 950), (START + timedelta(days=3), 900))
    assert other[DAYS[1]] != first[DAYS[1]] and other[DAYS[3]] != first[DAYS[3]], "it is the reference of the later one"
