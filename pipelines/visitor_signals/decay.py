"""A fixed table of weights that halve: whole parts per million for each whole minute of age."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache

import numpy as np

from pipelines.signals.arrays import Ints
from pipelines.signals.units import MINUTE

#: What an act of this minute weighs.
WHOLE = 1_000_000
_EXACT = Context(prec=40, rounding=ROUND_HALF_EVEN)


@cache
def table(half_life: int) -> Ints:
    """``round(1000000 x 2 ** (-minutes / half_life))`` by minutes of age, until it rounds to nothing.

    In decimal arithmetic of 40 places, so that it is the same on every machine.

    Args:
        half_life: microseconds, whole minutes.
    """
    minutes = max(1, half_life // MINUTE)
    step = _EXACT.power(Decimal(2), _EXACT.divide(Decimal(-1), Decimal(minutes)))
    one = [Decimal(WHOLE)]
    for _ in range(minutes - 1):
        one.append(_EXACT.multiply(one[-1], step))
    found: list[int] = []
    halving = Decimal(1)
    while not found or found[-1]:
        # Each half-life begins anew from an exact power of two, so that errors do not add up.
        found += [int(_EXACT.divide(value, halving).to_integral_value(ROUND_HALF_EVEN)) for value in one]
        halving *= 2
    weights = np.array(found, dtype=np.int64)
    return weights[: int(np.flatnonzero(weights)[-1]) + 2]
