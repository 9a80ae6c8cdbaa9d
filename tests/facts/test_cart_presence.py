"""Spans of products in active carts, at the bounds of activity, silence, orders and quantities."""

from __future__ import annotations

import polars as pl
import pytest

from pipelines.facts.cart_presence import Carts, changes, empty, fold

HOUR = 3_600_000_000
DAY = 24 * HOUR
WEEK = 7 * DAY
STEP = {
    "cart": pl.Int64,
    "visitor": pl.Int64,
    "at": pl.Int64,
    "event_id": pl.String,
    "line": pl.Int64,
    "step": pl.String,
    "product_id": pl.String,
    "quantity": pl.Int64,
}


def steps(*rows):
    """(cart, at, step, quantity); a cart belongs to the visitor of its tens."""
    full = [
        (cart, cart // 10, at, f"e{place}", 0, step, "p" if step in ("add", "remove") else None, quantity)
        for place, (cart, at, step, quantity) in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=STEP, orient="row")


def orders(*rows):
    return pl.DataFrame(rows, schema={"visitor": pl.Int64, "at": pl.Int64}, orient="row")


def taken(rows, ordered=(), before=None, end=30 * DAY):
    return fold(before or empty(), steps(*rows), orders(*ordered), end, DAY, WEEK)


def visitors(spans, hour):
    """How many have the product at a grid instant, by the changes up to it."""
    moved = changes(spans, 0, 24 * 40, HOUR)
    return moved.filter(pl.col("grid") <= hour)["change"].sum()


def test_a_cart_counts_after_its_activity_and_for_a_day():
    spans, _ = taken([(10, HOUR, "add", 1000)])
    assert [visitors(spans, hour) for hour in (1, 2, 25, 26)] == [0, 1, 1, 0]
    spans, _ = taken([(10, HOUR, "add", 1000), (10, 30 * HOUR, "view", 0)])
    assert [visitors(spans, hour) for hour in (26, 30, 31, 54, 55)] == [0, 0, 1, 1, 0]


@pytest.mark.parametrize(("gap", "there"), [(WEEK - 1, 1), (WEEK, 0)])
def test_a_silent_cart_begins_anew(gap, there):
    spans, _ = taken([(10, 0, "add", 1000), (10, gap, "view", 0)])
    assert visitors(spans, (gap + HOUR) // HOUR) == there
    _, carts = taken([(10, 0, "add", 1000)], end=gap)
    assert carts.items.height == there


def test_an_order_closes_every_cart_of_the_visitor_and_comes_after_what_happens_with_it():
    rows = [(10, HOUR, "add", 1000), (11, HOUR, "add", 1000), (20, HOUR, "add", 1000), (10, 5 * HOUR, "add", 1000)]
    spans, carts = taken(rows, [(1, 5 * HOUR)], end=2 * DAY)
    assert [visitors(spans, hour) for hour in (5, 6)] == [2, 1]
    assert carts.carts["cart"].to_list() == [20]
    own, _ = taken([(10, HOUR, "add", 1000), (11, HOUR, "add", 1000), (10, 2 * HOUR, "order", 0)])
    assert visitors(own, 3) == 1, "the other cart of the visitor is still open"


def test_a_visitor_counts_once_and_quantities_stop_at_zero():
    spans, _ = taken([(10, HOUR, "add", 1000), (11, HOUR, "add", 1000)])
    assert visitors(spans, 3) == 1
    rows = [(10, HOUR, "remove", 5000), (10, 2 * HOUR, "add", 1000), (10, 4 * HOUR, "remove", 1000)]
    spans, carts = taken(rows)
    assert [visitors(spans, hour) for hour in (2, 3, 4, 5)] == [0, 1, 1, 0]
    assert carts.items.is_empty()


def test_days_taken_apart_find_the_same():
    rows = [(10, HOUR, "add", 2000), (10, 30 * HOUR, "remove", 1000), (20, 20 * HOUR, "add", 1000)]
    whole, at_end = taken(rows, [(2, 40 * HOUR)], end=3 * DAY)
    first, carts = taken(rows[:1], end=DAY // 2)
    assert isinstance(carts, Carts)
    rest, carts = taken(rows[1:], [(2, 40 * HOUR)], before=carts, end=3 * DAY)
    assert [visitors(rest, hour) for hour in range(13, 72)] == [visitors(whole, hour) for hour in range(13, 72)]
    assert [visitors(first, hour) for hour in range(12)] == [visitors(whole, hour) for hour in range(12)]
    assert carts.items.equals(at_end.items) and carts.carts.equals(at_end.carts)
