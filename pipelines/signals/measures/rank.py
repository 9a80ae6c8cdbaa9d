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

#: Counts of a category that have a place in the table: at least so many, and so many times the products.
_LEAST, _CELLS = 64, 2
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
    group, value = category[index], count[index]
    groups = int(group.max()) + 1
    # A table of every small count of every category costs less than to sort products; few have more.
    width = max(_LEAST, _CELLS * len(index) // groups)
    small = value < width
    above, place = np.zeros(groups, dtype=np.int64), np.empty(len(index), dtype=np.int64)
    if not small.all():
        large = np.flatnonzero(~small)
        order, of, dense = _dense(large, group[large], value[large])
        place[order] = dense
        np.maximum.at(above, of, dense)
    cell = group[small] * width + (width - 1 - value[small])
    there = np.zeros(groups * width, dtype=np.int8)
    there[cell] = 1
    upto = np.cumsum(there, dtype=np.int64)
    before = np.append(0, upto[width - 1 :: width][:-1])
    place[small] = upto[cell] + (above - before)[group[small]]
    enough = np.bincount(group) >= signal.param(signal.measure.fewest)
    found[index] = np.where(enough[group], place, 0)
    return found


def _dense(index: Ints, category: Ints, count: Ints) -> tuple[Ints, Ints, Ints]:
    """Products in the order of categories and falling counts, with their category and dense rank."""
    order, group, value = _ordered(index, category, count)
    begins = np.diff(group, prepend=-1) != 0
    steps = (begins | (np.diff(value, prepend=-1) != 0)).cumsum()
    return order, group, steps - np.maximum.accumulate(np.where(begins, steps, 0)) + 1


def _ordered(index: Ints, category: Ints, count: Ints) -> tuple[Ints, Ints, Ints]:
    """Products by category and falling count: index, category and a number that falls with the count."""
    most, last = int(count.max()), int(index[-1])
    counts, places = most.bit_length(), last.bit_length()
    key = (category << counts) | (most - count)
    if int(category.max()).bit_length() + counts + places > 63:
        order = np.argsort(key, kind="stable")
        key, index = key[order], index[order]
    else:
        # To sort numbers is several times as fast as to sort places by them.
        key = (key << places) | index
        key.sort()
        key, index = key >> places, key & ((1 << places) - 1)
    return index, key >> counts, key & ((1 << counts) - 1)


def changes(products: Products, now: Ints, signal: Signal, hour: int, found: Crossings) -> None:
    """Fire where a rank entered or left the top or moved far since the grid instant before."""
    assert isinstance(signal.measure, RankChange)  # noqa: S101
    before = products[signal.measure.rank_change]
    top, places = signal.param(signal.measure.top), signal.param(signal.measure.places)
    gained = before - now
    high = (now <= top) & (now > 0) | (before <= top) & (before > 0)
    rows = np.flatnonzero((gained != 0) & (high | (np.abs(gained) >= places)))
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
