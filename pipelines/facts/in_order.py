"""Sorting and walking through sorted numpy columns of integers, for what would be windows of a query."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def order(*keys: Ints) -> Ints:
    """Places of rows in the order of some keys, the first one first; equal rows in any order."""
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64)
    lows = [int(key.min()) for key in keys]
    bits = [(int(key.max()) - low).bit_length() for key, low in zip(keys, lows, strict=True)]
    if sum(bits) > 63:
        return np.lexsort(keys[::-1])
    packed = np.zeros(len(keys[0]), dtype=np.int64)
    for key, low, width in zip(keys, lows, bits, strict=True):
        packed = (packed << width) | (key - low)
    return np.argsort(packed)


def before(column: Ints) -> Flags:
    """Whether each value is that of the row before it."""
    same = np.zeros(len(column), dtype=np.bool_)
    same[1:] = column[1:] == column[:-1]
    return same


def expanded(first: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """For each row the places ``first, first + 1, ...``: numbers of the rows, and the places."""
    row = np.repeat(np.arange(len(first)), lengths)
    start = np.cumsum(lengths) - lengths
    return row, first[row] + np.arange(len(row)) - start[row]


def running_least(values: Ints, same: Flags) -> tuple[Ints, Ints]:
    """Running sums, and the least of them so far, of groups of rows that follow each other.

    Args:
        values: to add up.
        same: whether a row is of the group of the one before it.
    """
    total = np.cumsum(values)
    begins = np.flatnonzero(~same)
    base = np.zeros(len(begins), dtype=np.int64)
    base[1:] = total[begins[1:] - 1]
    total = total - np.repeat(base, np.diff(begins, append=len(values)))
    # Each group lies lower than the one before it, so that the least so far is always one of its own.
    drop = np.cumsum(~same) * (int(np.ptp(total)) + 1 if len(total) else 1)
    return total, np.minimum.accumulate(total - drop) + drop
