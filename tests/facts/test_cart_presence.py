"""Spans of products in active carts, at the bounds of activity, silence, orders and quantities."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.facts.cart_presence import ADD, REMOVE, Carts, Steps, changes, empty, fold

HOUR = 3_600_000_000
DAY = 24 * HOUR
WEEK = 7 * DAY
MOVES = {"add": ADD, "remove": REMOVE}


def steps(*rows):
    """(cart, at, step, quantity); a cart belongs to the visitor of its tens, and there is one product."""
    cart, at, quantity = (np.array([row[place] for row in rows], dtype=np.int64) for place in (0, 1, 3))
    move = np.array([MOVES.get(row[2], 0) for row in rows], dtype=np.int64)
    ends = np.array([row[2] == "order" for row in rows], dtype=np.bool_)
    return Steps(cart, cart // 10, at, move, ends, np.full(len(rows), 7), quantity)


def orders(*rows):
    return tuple(np.array([row[place] for row in rows], dtype=np.int64) for place in (0, 1))


def taken(rows, ordered=(), before=None, end=30 * DAY):
    return fold(before or empty(), steps(*rows), orders(*ordered), end, DAY, WEEK)


def visitors(spans, hour):
    """How many have the product at a grid instant, by the changes up to it."""
    moved = changes(spans, 0, 24 * 40, HOUR)
    return moved.change[moved.grid <= hour].sum()


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
