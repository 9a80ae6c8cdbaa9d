"""Distinct visitors behind a count, exactly: every (product, visitor) of the longest window with its last instant.

Kept in memory only, 16 bytes a pair, and read again from the facts of that window when a run begins. A window's count
is the number of pairs whose last instant lies in it, so that no sketch is needed and nothing is counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipelines.signals.arrays import Ints, Products
from pipelines.storage.hashing import subject_key

_BITS = 32
_NONE = np.zeros(0, dtype=np.int64)


def _none() -> Ints:
    return _NONE


@dataclass
class Pairs:
    """Pairs of one act, sorted: a product's index in the upper half, a visitor's number in the lower one.

    Attributes:
        pair: sorted.
        last: the last instant of each, in microseconds.
    """

    pair: Ints = field(default_factory=_none)
    last: Ints = field(default_factory=_none)

    def add(self, pair: Ints, at: Ints) -> None:
        """Add acts, in any order."""
        if not len(pair):
            return
        order = np.lexsort((at, pair))
        pair, at = pair[order], at[order]
        newest = np.flatnonzero(np.diff(pair, append=-1) != 0)
        pair, at = pair[newest], at[newest]
        place = np.searchsorted(self.pair, pair)
        inside = place < len(self.pair)
        found = np.zeros(len(pair), dtype=np.bool_)
        found[inside] = self.pair[place[inside]] == pair[inside]
        self.last[place[found]] = np.maximum(self.last[place[found]], at[found])
        self.pair = np.insert(self.pair, place[~found], pair[~found])
        self.last = np.insert(self.last, place[~found], at[~found])

    def forget(self, before: int) -> None:
        """Drop pairs that no window holds any more."""
        kept = self.last >= before
        if not kept.all():
            self.pair, self.last = self.pair[kept], self.last[kept]

    def count(self, since: int, products: int) -> Ints:
        """Visitors by product whose last act is not before an instant."""
        inside = np.flatnonzero(self.last >= since)
        return np.bincount(self.pair[inside] >> _BITS, minlength=products).astype(np.int64)


@dataclass
class Visitors:
    """Pairs of every act, and the numbers of visitors.

    Attributes:
        pairs: by act.
        waiting: acts of the newest days that lie after the last instant that was counted.
        loaded: days that were read.
    """

    pairs: dict[str, Pairs] = field(default_factory=dict)
    waiting: dict[str, list[tuple[Ints, Ints]]] = field(default_factory=dict)
    loaded: set[date] = field(default_factory=set)
    _keys: Ints = field(default_factory=_none)
    _numbers: Ints = field(default_factory=_none)

    def load(self, act: str, frame: pl.DataFrame, products: Products) -> None:
        """Take one act of some days: ``product_id``, ``flockr_vid``, ``at`` in microseconds."""
        keys = frame.select(subject_key("flockr_vid")).to_series().to_numpy()
        pair = (products.index(frame["product_id"]) << _BITS) | self._number(keys)
        self.waiting.setdefault(act, []).append((pair, frame["at"].to_numpy()))

    def _number(self, keys: Ints) -> Ints:
        fresh = np.setdiff1d(keys, self._keys)
        if len(fresh):
            place = np.searchsorted(self._keys, fresh)
            numbers = np.arange(len(self._keys), len(self._keys) + len(fresh))
            self._keys = np.insert(self._keys, place, fresh)
            self._numbers = np.insert(self._numbers, place, numbers)
        return self._numbers[np.searchsorted(self._keys, keys)]

    def advance(self, act: str, instant: int, oldest: int) -> Pairs:
        """Pairs of an act by what happened before an instant; those that ended before ``oldest`` are dropped."""
        pairs = self.pairs.setdefault(act, Pairs())
        # Days are sorted together: adding them one by one would move what is there as often.
        waiting = self.waiting.pop(act, [])
        pair, at = (np.concatenate([_NONE, *[part[side] for part in waiting]]) for side in (0, 1))
        seen = at < instant
        pairs.add(pair[seen], at[seen])
        if not seen.all():
            self.waiting[act] = [(pair[~seen], at[~seen])]
        pairs.forget(oldest)
        return pairs
