"""Price drops at the instants of prices: the effective price against the lowest one of the time before it began.

A drop lasts until a price comes back near the reference, or until the lookback is over and the low price is the price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.attributes import NONE
from pipelines.signals.catalogue import Price, Signal
from pipelines.signals.crossings import Crossings
from pipelines.signals.machine import UNDEFINED, Moves, codes, columns
from pipelines.signals.readings import Reading, shown

PREFIX = "price"
#: The price, its instant (``NONE``: too old to matter) and reference; the reference of the drop; the state.
DEFAULTS = {"price": NONE, "price_at": NONE, "price_low": NONE, "drop_low": NONE, **columns(PREFIX)}
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class _Turn:
    """Products whose next instant comes: index, instant, whether a price begins, and which row."""

    index: Ints
    at: Ints
    priced: Flags
    row: Ints


def through_the_day(
    products: Products, steps: pl.DataFrame, signal: Signal, start: int, end: int, found: Crossings
) -> None:
    """Step prices through ``start <= t < end``; instants between prices are those at which a wait is over.

    Args:
        products: whose columns are changed.
        steps: ``attributes.STEPS`` of the day that are repriced, of known products.
        signal: the definition.
        start: of the day.
        end: of the day.
        found: takes the crossings.
    """
    ordered = steps.sort("product_id", "at")
    index = products.index(ordered["product_id"])
    at, price, low = (ordered[name].to_numpy() for name in ("at", "price", "low"))
    following = np.zeros(products.height, dtype=np.int64)
    following[index[::-1]] = np.arange(len(index))[::-1]
    left = np.bincount(index, minlength=products.height)
    while True:
        turn = _next(products, signal, at, following, left, start, end)
        if not len(turn.index):
            return
        here = turn.index[turn.priced]
        rows = turn.row[turn.priced]
        old = products["price"][turn.index].copy()
        products["price"][here], products["price_low"][here], products["price_at"][here] = (
            price[rows],
            low[rows],
            at[rows],
        )
        following[here] += 1
        left[here] -= 1
        _move(products, signal, turn, old, found)


def _next(products: Products, signal: Signal, at: Ints, following: Ints, left: Ints, start: int, end: int) -> _Turn:
    cooldown, _ = signal.silence()
    measure = signal.measure
    assert isinstance(measure, Price)  # noqa: S101
    state, changed, held = (products[name] for name in columns(PREFIX))
    step = np.full(products.height, _FAR, dtype=np.int64)
    some = left > 0
    step[some] = at[following[some]]
    # Never before the day: a wait that was over then was looked at then.
    waits = np.where(held != UNDEFINED, changed + cooldown, _FAR)
    lapses = np.where((state == 1) & (held != 0), changed + signal.param(measure.lookback), _FAR)
    due = np.minimum(np.where(waits < start, _FAR, waits), np.where(lapses < start, _FAR, lapses))
    when = np.minimum(step, due)
    index = np.flatnonzero(when < end)
    return _Turn(index, when[index], step[index] == when[index], following[index])


def _move(products: Products, signal: Signal, turn: _Turn, old: Ints, found: Crossings) -> None:
    cooldown, _ = signal.silence()
    state, changed, held = (products[name] for name in columns(PREFIX))
    index, at = turn.index, turn.at
    current = np.where(state[index] == UNDEFINED, 0, state[index])
    target = _target(products, signal, index, at, current)
    wished = target != current
    cooling = wished & (changed[index] >= 0) & (at - changed[index] < cooldown)
    rows = np.flatnonzero((cooling & (held[index] != target)) | (wished & ~cooling))
    moves = Moves(index[rows], state[index][rows], target[rows], cooling[rows].astype(np.int64))
    reference = np.where(current == 1, products["drop_low"][index], products["price_low"][index])
    before, after = (_ratio(each[rows], reference[rows]) for each in (old, products["price"][index]))
    up, bound = target[rows] == 0, _bound(signal, target[rows])
    found.add(signal.id, products.ids, moves, codes(signal), at[rows], before, after, up, bound)
    accepted = wished & ~cooling
    held[index] = np.where(cooling, target, UNDEFINED)
    changed[index[accepted]] = at[accepted]
    state[index] = np.where(accepted, target, current)
    low = products["drop_low"]
    low[index] = np.where(accepted, np.where(target == 1, products["price_low"][index], NONE), low[index])


def _target(products: Products, signal: Signal, index: Ints, at: Ints, current: Ints) -> Ints:
    measure = signal.measure
    assert isinstance(measure, Price)  # noqa: S101
    enter, leave = signal.param(measure.drop_enter), signal.param(measure.drop_exit)
    lookback = signal.param(measure.lookback)
    price, low, drop_low = (products[name][index] for name in ("price", "price_low", "drop_low"))
    fresh = (products["price_at"][index] >= 0) & (at - products["price_at"][index] < lookback)
    dropped = fresh & (price >= 0) & (low > 0) & (price * 100 <= low * (100 - enter))
    over = at - products[f"{PREFIX}_changed"][index] >= lookback
    back = (price < 0) | (price * 100 > drop_low * (100 - leave)) | over
    return np.where(current == 1, np.where(back, 0, 1), np.where(dropped, 1, 0))


def _ratio(top: Ints, bottom: Ints) -> tuple[Ints, Ints]:
    whole = (top >= 0) & (bottom > 0)
    return np.where(whole, top, 0), np.where(whole, bottom, 0)


def _bound(signal: Signal, target: Ints) -> tuple[Ints, Ints]:
    measure = signal.measure
    assert isinstance(measure, Price)  # noqa: S101
    enter, leave = signal.param(measure.drop_enter), signal.param(measure.drop_exit)
    return np.where(target == 1, 100 - enter, 100 - leave), np.full(len(target), 100)


def settle(products: Products, signal: Signal, now: int) -> None:
    """Forget references that are too old to matter."""
    measure = signal.measure
    assert isinstance(measure, Price)  # noqa: S101
    at, low = products["price_at"], products["price_low"]
    old = (at >= 0) & (now - at >= signal.param(measure.lookback))
    at[old], low[old] = NONE, NONE


def readings(products: Products, signal: Signal) -> Iterator[Reading]:
    """Price over its reference where it is recent, and while it is dropped over the reference of the drop."""
    state = products[f"{PREFIX}_state"]
    reference = np.where(state == 1, products["drop_low"], products["price_low"])
    top, bottom = _ratio(products["price"], reference)
    code = np.where(state == UNDEFINED, 0, state)
    yield shown(signal.id, signal.definition_version, products.order, bottom > 0, top, bottom, code, codes(signal))
