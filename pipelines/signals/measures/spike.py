"""Demand spikes: the last hour against the median of the same UTC hour of the weeks before. Integers only."""

from __future__ import annotations

import numpy as np

from pipelines.signals.arrays import Ints, Products
from pipelines.signals.catalogue import Signal, Spike
from pipelines.signals.crossings import Crossings, whole
from pipelines.signals.demand import NEVER, WEEK_HOURS, Chunk, Hours
from pipelines.signals.machine import Moves, codes, fire
from pipelines.signals.units import HOUR

DEFAULTS = {"demand_spike_fired": -1}
_FAR = np.iinfo(np.int64).max
_NONE = np.zeros(0, dtype=np.int64)


def lags(signal: Signal) -> list[int]:
    """Hours back of which counts are read."""
    assert isinstance(signal.measure, Spike)  # noqa: S101
    return [WEEK_HOURS * week for week in range(1, signal.param(signal.measure.weeks) + 1)]


def step(products: Products, hours: Hours, signal: Signal, hour: int, data_since: int, found: Crossings) -> None:
    """Fire for products whose last hour before a grid instant stands out."""
    assert isinstance(signal.measure, Spike)  # noqa: S101
    stands = [
        (code, *_outstanding(products, hours, signal, act, hour, data_since))
        for code, act in enumerate(signal.measure.spike, start=1)
    ]
    every = np.concatenate([index for _, index, _, _ in stands])
    # Of a product that stands out twice, the act that is listed first is told.
    rows, first = np.unique(every, return_index=True)
    if not len(rows):
        return
    fired = np.concatenate([np.full(len(index), code) for code, index, _, _ in stands])[first]
    count, middle = (np.concatenate([each[place] for each in stands])[first] for place in (2, 3))
    cause = fire(products, "demand_spike", rows, hour * HOUR, signal)
    none = np.zeros(len(rows), dtype=np.int64)
    moves = Moves(rows, none, fired, cause)
    bound = (signal.param(signal.measure.multiple) * middle, none + 1000)
    names = {code: name for code, name in codes(signal).items() if code}
    up = np.ones(len(rows), dtype=np.bool_)
    found.add(signal.id, products.ids, moves, names, hour * HOUR, whole(middle), whole(count), up, bound)


def _outstanding(
    products: Products, hours: Hours, signal: Signal, act: str, hour: int, data_since: int
) -> tuple[Ints, Ints, Ints]:
    """Products whose hour stands out, with its count and the median."""
    assert isinstance(signal.measure, Spike)  # noqa: S101
    z, multiple = signal.param(signal.measure.z), signal.param(signal.measure.multiple)
    some, count = _of_hour(hours.at(act, hour - 1))
    # z is at least sqrt(count) where the median is zero, and less elsewhere: fewer cannot stand out.
    enough = count**2 >= z**2
    some, count = some[enough], count[enough]
    if not len(some):
        return some, count, count
    since = np.maximum(products["first_seen"][some], data_since)
    first = np.where(since == NEVER, _FAR, since // HOUR)
    past = np.full((len(lags(signal)), len(some)), _FAR, dtype=np.int64)
    for week, lag in enumerate(lags(signal)):
        then = np.zeros(products.height, dtype=np.int64)
        for index, values in hours.at(act, hour - 1 - lag):
            then[index] += values
        past[week] = np.where(hour - 1 - lag >= first, then[some], _FAR)
    known = (past != _FAR).sum(axis=0)
    past.sort(axis=0)
    median = past[np.maximum((known + 1) // 2 - 1, 0), np.arange(len(some))]
    defined = known >= max(signal.param(signal.measure.history), 1)
    median = np.where(defined, median, 0)
    excess = count - median
    stands = defined & (count * 1000 >= multiple * median) & (excess >= 0) & (excess**2 >= z**2 * (median + 1))
    return some[stands], count[stands], median[stands]


def _of_hour(chunks: list[Chunk]) -> tuple[Ints, Ints]:
    """Products with any count, and how many, where a partition may begin within the hour."""
    if len(chunks) == 1:
        return chunks[0]
    index, place = np.unique(np.concatenate([_NONE, *[each for each, _ in chunks]]), return_inverse=True)
    count = np.zeros(len(index), dtype=np.int64)
    np.add.at(count, place, np.concatenate([_NONE, *[each for _, each in chunks]]))
    some = count > 0
    return index[some], count[some]
