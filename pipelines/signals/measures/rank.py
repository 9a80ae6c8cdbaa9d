"""Dense ranks inside categories on the grid, and events of their moves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.signals.arrays import Ints, Products
from pipelines.signals.catalogue import Rank, RankChange, Signal
from pipelines.signals.crossings import Crossings
from pipelines.signals.demand import WEEK_HOURS, column
from pipelines.signals.machine import Moves, codes, fire
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import HOUR

ENTERED, LEFT, UP, DOWN = 1, 2, 3, 4


def defaults(signals: list[Signal]) -> dict[str, int]:
    """Columns of ranks (0 is none) and of their events."""
    ranks = {each.id: 0 for each in signals if isinstance(each.measure, Rank)}
    return ranks | {f"{each.id}_fired": -1 for each in signals if isinstance(each.measure, RankChange)}


def ranks(products: Products, category: Ints, signal: Signal) -> Ints:
    """Rank of every product by its count of 7 days, 0 without one.

    Args:
        products: gives the counts.
        category: number of the category by product from 0; -1 is none.
        signal: the definition.
    """
    assert isinstance(signal.measure, Rank)  # noqa: S101
    count = products[column(signal.measure.rank, WEEK_HOURS)]
    found = np.zeros(products.height, dtype=np.int64)
    index = np.flatnonzero((count > 0) & (category >= 0))
    if not len(index):
        return found
    most = int(count[index].max())
    order = index[np.argsort(category[index] * (most + 1) + (most - count[index]), kind="stable")]
    group, value = category[order], count[order]
    begins = np.diff(group, prepend=-1) != 0
    steps = (begins | (np.diff(value, prepend=-1) != 0)).cumsum()
    start = np.maximum.accumulate(np.where(begins, steps, 0))
    size = np.bincount(group)[group]
    found[order] = np.where(size >= signal.param(signal.measure.fewest), steps - start + 1, 0)
    return found


def changes(products: Products, now: Ints, signal: Signal, hour: int, found: Crossings) -> None:
    """Fire where a rank entered or left the top or moved far since the grid instant before."""
    assert isinstance(signal.measure, RankChange)  # noqa: S101
    before = products[signal.measure.rank_change]
    top, places = signal.param(signal.measure.top), signal.param(signal.measure.places)
    rows = np.flatnonzero(now != before)
    here, then = now[rows], before[rows]
    inside, was = (here > 0) & (here <= top), (then > 0) & (then <= top)
    gain = np.where((here > 0) & (then > 0), then - here, 0)
    code = np.where(gain >= places, UP, np.where(gain <= -places, DOWN, 0))
    code = np.where(inside & ~was, ENTERED, np.where(was & ~inside, LEFT, code))
    rows, code = rows[code > 0], code[code > 0]
    if not len(rows):
        return
    cause = fire(products, signal.id, rows, hour * HOUR, signal)
    names = {place: name for place, name in codes(signal).items() if place}
    moves = Moves(rows, np.zeros(len(rows), dtype=np.int64), code, cause)
    old, new = before[rows], now[rows]
    up = (code == ENTERED) | (code == UP)
    ratios = ((old, (old > 0).astype(np.int64)), (new, (new > 0).astype(np.int64)))
    found.add(signal.id, products.ids, moves, names, hour * HOUR, *ratios, up)


def readings(products: Products, signal: Signal) -> Iterator[Reading]:
    """Rank where there is one."""
    rank = products[signal.id]
    yield shown(signal.id, signal.definition_version, products.order, rank > 0, rank, 1)
