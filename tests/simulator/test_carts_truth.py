"""The walk over carts, on logs made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import polars as pl
import pytest

from pipelines.simulator.carts_truth import Abandonment, OpenCart, Step, walk
from pipelines.simulator.settings import DAY, MINUTE, SECOND
from pipelines.simulator.truth import abandoners

NOON = 1_743_000_000 * SECOND
END = NOON + 30 * DAY
ADD = Step(NOON, "add", "sku-1", 2_000, 1_050)
ENTRY = NOON + 30 * MINUTE


def entered(
    steps: Sequence[Step], orders: Sequence[int] = (), end: int = END
) -> list[tuple[int, int | None, str | None]]:
    found, _ = walk(steps, orders, end)
    return [(one.entered_at, one.ended_at, one.ended_by) for one in found]


def test_a_cart_left_alone_is_abandoned_after_half_an_hour_and_forgotten_after_seven_days() -> None:
    found, left = walk([ADD], [], END)
    assert found == [Abandonment(NOON, ENTRY, 2_100, ("sku-1",), NOON + 7 * DAY, "expiry")]
    assert left is None
    assert walk([ADD], [], NOON + DAY)[1] == OpenCart(NOON, 2_100, ("sku-1",))


@pytest.mark.parametrize(("late", "abandoned"), [(-1, False), (0, False), (1, True)])
def test_an_order_up_to_the_bound_prevents_the_abandonment(late: int, abandoned: bool) -> None:
    order = Step(ENTRY + late, "order")
    expected = [(ENTRY, order.t, "order")] if abandoned else []
    assert entered([ADD, order], [order.t]) == expected
    assert entered([ADD], [order.t]) == expected


def test_activity_starts_the_half_hour_again() -> None:
    look = Step(NOON + 20 * MINUTE, "view")
    assert entered([ADD, look])[0][0] == look.t + 30 * MINUTE


def test_looking_into_an_abandoned_cart_prolongs_it() -> None:
    look = Step(NOON + 2 * DAY, "view")
    assert entered([ADD, look]) == [(ENTRY, look.t + 7 * DAY, "expiry")]


def test_a_cart_of_seven_days_is_gone() -> None:
    look, add = Step(NOON + 7 * DAY, "view"), Step(NOON + 8 * DAY, "add", "sku-2", 1_000, 700)
    assert entered([ADD, look]) == [(ENTRY, NOON + 7 * DAY, "expiry")]
    found, _ = walk([ADD, look, add], [], END)
    assert [(one.entered_at, one.products) for one in found] == [(ENTRY, ("sku-1",)), (add.t + 30 * MINUTE, ("sku-2",))]


@pytest.mark.parametrize(("early", "entry"), [(0, ENTRY), (1, ENTRY + 30 * MINUTE - 1)])
def test_activity_at_the_bound_comes_too_late(early: int, entry: int) -> None:
    look = Step(ENTRY - early, "view")
    assert entered([ADD, look]) == [(entry, look.t + 7 * DAY, "expiry")]


def test_emptying_at_the_bound_is_in_time() -> None:
    assert entered([ADD, Step(ENTRY, "remove", "sku-1", 2_000, 1_050)]) == []


def test_emptying_ends_it_and_taking_out_more_than_there_is_leaves_nothing() -> None:
    out = Step(NOON + DAY, "remove", "sku-1", 5_000, 1_050)
    back = replace(ADD, t=NOON + 2 * DAY)
    assert entered([ADD, out]) == [(ENTRY, out.t, "cart_emptied")]
    found, left = walk([ADD, out, back], [], NOON + 3 * DAY)
    assert found[1].value_minor == 2_100
    assert left is not None and left.t0 == back.t


def test_a_cart_emptied_in_time_was_never_abandoned() -> None:
    assert entered([ADD, Step(NOON + MINUTE, "remove", "sku-1", 2_000, 1_050)]) == []


def test_an_order_of_another_cart_ends_this_one_too() -> None:
    order = NOON + DAY
    look, add = Step(NOON + 2 * DAY, "view"), Step(NOON + 3 * DAY, "add", "sku-2", 1_000, 700)
    assert entered([ADD], [order]) == [(ENTRY, order, "order")]
    assert entered([ADD, look], [order]) == [(ENTRY, order, "order")]
    assert [one.products for one in walk([ADD, add], [order], END)[0]] == [("sku-1",), ("sku-2",)]


def test_the_answer_sees_nothing_from_its_own_instant_on() -> None:
    assert entered([ADD], end=ENTRY) == []
    assert entered([ADD], end=ENTRY + 1) == [(ENTRY, None, None)]
    assert walk([ADD], [], NOON) == ([], None)


def test_value_uses_the_price_at_the_last_touch_and_rounds_half_even() -> None:
    steps = [ADD, Step(NOON + 1, "add", "sku-1", 500, 1_001), Step(NOON + 2, "add", "sku-2", 500, 1_003)]
    # 2.5 x 1001 = 2502.5 and 0.5 x 1003 = 501.5: both go to the even neighbour.
    assert walk(steps, [], END)[0][0].value_minor == 2_502 + 502


def test_a_visitor_is_an_abandoner_while_any_cart_is() -> None:
    def at(hour: int) -> datetime:
        return datetime.fromisoformat(f"2025-03-01T{hour:02d}:00:00+00:00")

    carts = pl.DataFrame(
        {
            "flockr_vid": ["a", "a", "a", "b"],
            "entered_at": [at(1), at(2), at(9), at(4)],
            "ended_at": [at(5), at(3), None, at(6)],
        }
    )
    assert abandoners(carts).rows() == [("a", at(1), at(5)), ("a", at(9), None), ("b", at(4), at(6))]
