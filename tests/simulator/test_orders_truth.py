"""Lapsed customers and repeat purchasers, on orders made by hand: (instant, instant of a whole return)."""

from __future__ import annotations

import pytest

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
    scaled = [(t * DAY, None if undone is None else undone * DAY) for t, undone in orders]
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
    scaled = [(t * DAY, None if undone is None else undone * DAY) for t, undone in orders]
    found = _repeat(scaled, END)
    assert [(a // DAY, None if b is None else b // DAY) for a, b in found] == stretches
