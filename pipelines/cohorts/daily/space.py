"""Things that are numbered as they appear, with whole-number columns: subjects, values of a field, and pairs of them.

Numbers hold for one run only; what is stored is sorted by id. Only storage and lookup.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import MurmurError
from pipelines.storage.hashing import subject_key

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
#: Bits of a pair's code that hold the number of the second thing.
ITEM_BITS = 24
_ITEMS = (1 << ITEM_BITS) - 1


@dataclass
class Space:
    """Integer codes, numbered in the order in which they first came, with columns.

    Attributes:
        defaults: column -> value of what was never touched.
        height: how many there are.
    """

    defaults: dict[str, int] = field(default_factory=dict)
    height: int = 0
    _sorted: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _number: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _codes: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _columns: dict[str, Ints] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Ints:
        """The column, one value for each number; it may be written to until something new is added."""
        return self._columns[name][: self.height]

    @property
    def codes(self) -> Ints:
        """Code of each number."""
        return self._codes[: self.height]

    def column(self, name: str, default: int = 0) -> None:
        """Have a column of that name."""
        if name not in self._columns:
            self.defaults[name] = default
            self._columns[name] = np.full(len(self._codes), default, dtype=np.int64)

    def find(self, codes: Ints) -> Ints:
        """Number of each code; -1 where there is none."""
        if not self.height:
            return np.full(len(codes), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._sorted, codes), self.height - 1)
        return np.where(self._sorted[place] == codes, self._number[place], -1)

    def number(self, codes: Ints) -> Ints:
        """Number of each code; new codes are added in their order."""
        # In order, and each once: looking for them then walks through memory instead of jumping about in it.
        wanted, place = np.unique(codes, return_inverse=True)
        found = self.find(wanted)
        missing = found < 0
        if missing.any():
            self._add(wanted[missing])
            found[missing] = np.arange(self.height - int(missing.sum()), self.height)
        return found[place]

    def keep(self, kept: Flags) -> None:
        """Let go of everything else; what is left has new numbers."""
        chosen = np.flatnonzero(kept)
        self.height = len(chosen)
        self._codes = self._codes[chosen]
        self._columns = {name: values[chosen] for name, values in self._columns.items()}
        self.recode(self._codes)

    def recode(self, codes: Ints) -> None:
        """Give each number another code; those are all different."""
        self._codes[: self.height] = codes
        self._number = np.argsort(self.codes)
        self._sorted = self.codes[self._number]

    def _add(self, fresh: Ints) -> None:
        start, self.height = self.height, self.height + len(fresh)
        self._grow()
        self._codes[start : self.height] = fresh
        place = np.searchsorted(self._sorted, fresh)
        self._sorted = np.insert(self._sorted, place, fresh)
        self._number = np.insert(self._number, place, np.arange(start, self.height, dtype=np.int64))

    def _grow(self) -> None:
        size = len(self._codes)
        if self.height <= size:
            return
        larger = max(self.height, size + size // 4, 1024)
        self._codes = np.concatenate([self._codes, np.zeros(larger - size, dtype=np.int64)])
        for name, values in self._columns.items():
            added = np.full(larger - size, self.defaults[name], dtype=np.int64)
            self._columns[name] = np.concatenate([values, added])


@dataclass
class Names(Space):
    """Strings, by their hash; two strings with one hash are refused."""

    _ids: pl.Series = field(default_factory=lambda: pl.Series("id", [], dtype=pl.String))
    _in_order: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _rank: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def ids(self) -> pl.Series:
        """String of each number."""
        return self._ids

    def keep(self, kept: Flags) -> None:
        """Let go of all other strings."""
        super().keep(kept)
        self._ids = self._ids.filter(pl.Series(kept))
        self._in_order, self._rank = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)

    def rank(self) -> Ints:
        """Place of each number's string among all of them in order; of any two the order stays as more are added."""
        if len(self._rank) < self.height:
            fresh = np.arange(len(self._rank), self.height, dtype=np.int64)
            fresh = fresh[self._ids[len(self._rank) :].arg_sort().to_numpy()]
            place = self._ids.gather(self._in_order).search_sorted(self._ids.gather(fresh)).to_numpy().astype(np.int64)
            self._in_order = np.insert(self._in_order, place, fresh)
            self._rank = np.empty(self.height, dtype=np.int64)
            self._rank[self._in_order] = np.arange(self.height, dtype=np.int64)
        return self._rank

    def known(self, ids: pl.Series) -> Ints:
        """Number of each string; -1 where it was never numbered."""
        return self.find(pl.DataFrame({"id": ids}).select(subject_key("id")).to_series().to_numpy())

    def of(self, ids: pl.Series) -> Ints:
        """Number of each string.

        Raises:
            MurmurError: two different strings have the same hash.
        """
        frame = pl.DataFrame({"id": ids})
        codes = frame.select(subject_key("id")).to_series().to_numpy()
        known = self.height
        numbers = self.number(codes)
        if self.height > known:
            first = pl.DataFrame({"number": numbers, "id": ids}).filter(pl.col("number") >= known)
            named = first.unique("number", keep="any").sort("number")["id"]
            self._ids = pl.concat([self._ids, named], rechunk=True)
        if not (self._ids.gather(numbers) == ids).all():
            raise MurmurError("two ids have the same 64-bit key, which cannot be told apart; please report it")
        return numbers


@dataclass
class Pairs:
    """How many rows count for each pair of two numbers; pairs of none are forgotten in time.

    Attributes:
        codes: of ``pair_codes``, increasing.
        rows: of each, how many.
    """

    codes: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, codes: Ints, signs: Ints) -> tuple[Ints, Ints]:
        """Count rows that came (1) or went (-1).

        Returns:
            First numbers of pairs that have rows now and had none, or the other way round; and 1 or -1 for each.
        """
        touched, place = np.unique(codes, return_inverse=True)
        change = np.zeros(len(touched), dtype=np.int64)
        np.add.at(change, place, signs)
        at = np.searchsorted(self.codes, touched)
        known = np.zeros(len(touched), dtype=np.bool_)
        inside = at < len(self.codes)
        known[inside] = self.codes[at[inside]] == touched[inside]
        before = np.zeros(len(touched), dtype=np.int64)
        before[known] = self.rows[at[known]]
        after = before + change
        self.rows[at[known]] = after[known]
        self.codes = np.insert(self.codes, at[~known], touched[~known])
        self.rows = np.insert(self.rows, at[~known], after[~known])
        self._prune()
        differs = (after > 0).astype(np.int64) - (before > 0).astype(np.int64)
        moved = differs != 0
        return parts(touched[moved])[0], differs[moved]

    def _prune(self) -> None:
        counting = self.rows != 0
        if 2 * int(counting.sum()) < len(counting):
            self.codes, self.rows = self.codes[counting], self.rows[counting]


def pair_codes(first: Ints, second: Ints) -> Ints:
    """One code for two numbers.

    Raises:
        MurmurError: the second space is too large to be paired.
    """
    if len(second) and int(second.max()) > _ITEMS:
        raise MurmurError(
            f"a field of a cohort has more than {_ITEMS} different values; count them by a narrower field"
        )
    return (first << ITEM_BITS) | second


def parts(codes: Ints) -> tuple[Ints, Ints]:
    """The two numbers of each code."""
    return codes >> ITEM_BITS, codes & _ITEMS
