"""Lapsed customers and repeat purchasers, on orders made by hand: (instant, instant of a whole return)."""

from __future__ import annotations

import pytest

from pipelines.simulator.merges import shares
from pipelines.simulator.settings import DAY
from pipelines.simulator.truth import _lapse, _repeat

END = 1_000 * DAY


@pytest.mark.parametrize(
    ("orders", "entry"),
    [
        ([(900, None)], None),
        ([(820, None)], None),
        ([(819, None)], 999),
        ([(600, None), (700, None)], None),
        ([(600, None), (690, None)], 960),
        ([(500, None), (600, 995)], 900),
        ([(500, None), (900, 950)], 950),
        ([(500, 600)], None),
        ([(100, None), (400, 850)], 850),
    ],
)
def test_lapsed(orders: list[tuple[int, int | None]], entry: int | None) -> None:
    scaled = [(t * DAY, t * DAY, None if undone is None else undone * DAY) for t, undone in orders]
    found = _lapse(scaled, END)
    assert (None if found is None else found[3] // DAY) == entry


@pytest.mark.parametrize(
    ("orders", "stretches"),
    [
        ([(100, None)], []),
        ([(700, None), (800, None)], [(800, None)]),
        ([(100, None), (200, None)], [(200, 465)]),
        ([(700, None), (800, 850)], [(800, 850)]),
        ([(700, None), (800, 850), (900, None)], [(800, 850), (900, None)]),
        ([(100, None), (466, None)], []),
    ],
)
def test_repeat_purchasers(orders: list[tuple[int, int | None]], stretches: list[tuple[int, int | None]]) -> None:
    scaled = [(t * DAY, t * DAY, None if undone is None else undone * DAY) for t, undone in orders]
    found = _repeat(scaled, END)
    assert [(a // DAY, None if b is None else b // DAY) for a, b in found] == stretches


MERGES = {1: (2, 300, 500), 2: (3, 400, None)}


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ((9, 100, 200), {9: [(100, 100, 200)]}),
        ((1, 100, 200), {1: [(100, 100, 200)]}),
        ((1, 100, None), {1: [(100, 100, 300), (100, 500, None)], 2: [(100, 300, 400)], 3: [(100, 400, 500)]}),
        ((1, 450, 600), {3: [(450, 450, 500)], 1: [(450, 500, 600)]}),
        ((2, 400, None), {3: [(400, 400, None)]}),
        ((2, 100, 300), {2: [(100, 100, 300)]}),
    ],
)
def test_an_order_follows_its_customer(
    order: tuple[int, int, int | None], found: dict[int, list[tuple[int, int, int | None]]]
) -> None:
    assert shares([order], MERGES) == found


def test_merging_makes_and_unmakes_repeat_purchasers_and_lapsed() -> None:
    merges = {1: (2, 700 * DAY, 800 * DAY)}
    orders = [(1, 600 * DAY, None), (2, 650 * DAY, None)]
    found = shares(orders, merges)
    assert _repeat(found[2], END) == [(700 * DAY, 800 * DAY)]
    assert _repeat(found[1], END) == []
    # Lapsed on its own when its only order comes back to it.
    assert _lapse(found[1], END) == (1, 600 * DAY, None, 800 * DAY)
