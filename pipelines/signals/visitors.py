"""Distinct visitors behind a count, exactly, for a stretch of days at once.

An act is a number: product, visitor and time slot side by side, so that one sort brings together what a visitor did
with a product. An act counts at the end of a day when it lies in the window and the same visitor has no later one
before that end: a span of days, added up as two steps. Nothing is kept from day to day; facts of the window are read
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

import numpy as np
import numpy.typing as npt

from pipelines.signals.arrays import Ints
from pipelines.signals.units import HOUR

#: Bits of a product's number.
PRODUCT_BITS = 24
#: Acts that are looked at together.
_CHUNK = 1 << 20
_NONE = np.zeros(0, dtype=np.int64)


@dataclass
class Numbers:
    """Keys numbered from 0 in the order of their first appearance."""

    _keys: Ints = field(default_factory=lambda: _NONE)
    _numbers: Ints = field(default_factory=lambda: _NONE)

    def of(self, keys: Ints) -> Ints:
        """Number of each key; fast where equal keys follow each other."""
        begins = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
        heads = keys[begins]
        known, place = np.unique(heads, return_inverse=True)
        at = np.searchsorted(self._keys, known)
        there = np.zeros(len(known), dtype=np.bool_)
        inside = at < len(self._keys)
        there[inside] = self._keys[at[inside]] == known[inside]
        numbers = np.empty(len(known), dtype=np.int64)
        numbers[there] = self._numbers[at[there]]
        start = len(self._keys)
        numbers[~there] = np.arange(start, start + len(known) - int(there.sum()))
        self._keys = np.insert(self._keys, at[~there], known[~there])
        self._numbers = np.insert(self._numbers, at[~there], numbers[~there])
        return np.repeat(numbers[place], np.diff(begins, append=len(keys)))


@dataclass
class Stretch:
    """Acts of one kind around some grid instants.

    Attributes:
        instants: at which visitors are counted, in microseconds, rising.
        widths: microseconds of the windows.
    """

    instants: Sequence[int]
    widths: Sequence[int]
    _packed: dict[int, list[Ints]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._slot = gcd(HOUR, *self.widths)
        self._base = self.instants[0] - max(self.widths)
        self._slots = (self.instants[-1] - self._base) // self._slot
        self._slot_bits = int(self._slots).bit_length()
        self._visitor_bits = 63 - PRODUCT_BITS - self._slot_bits

    def add(self, product: Ints, visitor: Ints, at: Ints) -> None:
        """Take acts: numbers of products and visitors, and microseconds; those that no instant sees are left out."""
        seen = (at >= self._base) & (at < self.instants[-1])
        slot = (at[seen] - self._base) // self._slot
        group, rest = visitor[seen] >> self._visitor_bits, visitor[seen] & ((1 << self._visitor_bits) - 1)
        packed = (((product[seen] << self._visitor_bits) | rest) << self._slot_bits) | slot
        # Visitors beyond the bits that are left make a group of their own; a visitor is in one group only.
        for each in range(int(group.max(initial=-1)) + 1):
            here = packed if not group.any() else packed[group == each]
            self._packed.setdefault(each, []).append(here)

    def count(self, products: int) -> dict[int, npt.NDArray[np.int32]]:
        """Visitors by width: one row a product, one column an instant."""
        found = {width: np.zeros((products, len(self.instants)), dtype=np.int32) for width in self.widths}
        for group in sorted(self._packed):
            packed = np.concatenate(self._packed.pop(group))
            packed.sort()
            for acts in _chunks(packed, self._visitor_bits + self._slot_bits):
                self._add_up(acts, found)
        return found

    def _add_up(self, packed: Ints, found: Mapping[int, npt.NDArray[np.int32]]) -> None:
        slots = np.arange(self._slots, dtype=np.int64) * self._slot + self._base
        first = np.searchsorted(self.instants, slots, side="right").astype(np.int32)
        pair, slot = packed >> self._slot_bits, packed & ((1 << self._slot_bits) - 1)
        day = first[slot]
        same = pair[1:] == pair[:-1]
        newest = np.append(~(same & (day[1:] == day[:-1])), True)
        pair, slot, day = pair[newest], slot[newest], day[newest]
        columns = len(self.instants) + 1
        follows = np.append(pair[1:] == pair[:-1], False)
        until = np.where(follows, np.append(day[1:], 0), np.int32(columns - 1))
        lowest = int(pair[0] >> self._visitor_bits)
        row = ((pair >> self._visitor_bits) - lowest) * columns
        height = int(row[-1]) // columns + 1
        begins: Ints | None = None
        # What a window does not see, a shorter one does not see either.
        for width, counts in sorted(found.items(), reverse=True):
            over = np.searchsorted(self.instants, slots + width, side="right").astype(np.int32)
            some = (over > first)[slot]
            if not some.all():
                slot, day, until, row, begins = slot[some], day[some], until[some], row[some], None
            if begins is None:
                begins = np.bincount(row + day, minlength=height * columns)
            ends = np.bincount(row + np.minimum(until, over[slot]), minlength=height * columns)
            spans = (begins - ends).reshape(height, columns).cumsum(axis=1)
            counts[lowest : lowest + height] += spans[:, :-1].astype(np.int32)


def _chunks(packed: Ints, bits: int) -> Iterator[Ints]:
    """Parts of sorted acts, each with all of its products."""
    start = 0
    while start < len(packed):
        end = min(start + _CHUNK, len(packed))
        if end < len(packed):
            following = ((int(packed[end - 1]) >> bits) + 1) << bits
            end = int(np.searchsorted(packed, following))
        yield packed[start:end]
        start = end
