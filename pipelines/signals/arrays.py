"""Columns per product as growing numpy arrays: the working form of the state while days are computed.

Only storage and lookup; what the columns mean is in ``demand`` and ``scarcity``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.storage.hashing import subject_key

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass
class Products:
    """Products in order of first appearance, with Int64 columns.

    Attributes:
        defaults: column -> value of a product that was never touched.
        columns: column -> one value a product.
        keys: ``subject_key`` of each id.
    """

    defaults: Mapping[str, int]
    columns: dict[str, Ints] = field(default_factory=dict)
    keys: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _order: Ints | None = None
    _sorted: tuple[Ints, Ints] = field(
        default_factory=lambda: (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    )
    _ids: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"product_id": pl.String, "index": pl.Int64})
    )

    def __post_init__(self) -> None:
        for name in self.defaults:
            self.columns.setdefault(name, np.zeros(0, dtype=np.int64))

    def __getitem__(self, name: str) -> Ints:
        return self.columns[name]

    @property
    def height(self) -> int:
        """Number of products."""
        return self._ids.height

    @property
    def ids(self) -> pl.Series:
        """Product ids by index."""
        return self._ids["product_id"]

    @property
    def order(self) -> Ints:
        """Indexes in the order of their ids."""
        if self._order is None:
            self._order = self.ids.arg_sort().to_numpy().astype(np.int64)
        return self._order

    def known(self, ids: pl.Series) -> Ints:
        """Index of each id, -1 for one that is not there."""
        asked = pl.DataFrame({"product_id": ids})
        if not self.height:
            return np.full(ids.len(), -1, dtype=np.int64)
        keys = asked.select(subject_key("product_id")).to_series().to_numpy()
        place = np.minimum(np.searchsorted(self._sorted[0], keys), self.height - 1)
        found = self._sorted[1][place]
        there = self._sorted[0][place] == keys
        # Keys are looked up and names decide: where two names share a key, all of them are joined.
        if (self.ids.gather(found) != asked["product_id"]).to_numpy()[there].any():
            joined = asked.join(self._ids, on="product_id", how="left", maintain_order="left")["index"]
            return joined.fill_null(-1).to_numpy().astype(np.int64, copy=False)
        return np.where(there, found, -1)

    def index(self, ids: pl.Series) -> Ints:
        """Index of each id; new ids are added in the order of their names."""
        found = self.known(ids)
        if (found < 0).any():
            self._add(ids.filter(pl.Series(found < 0)).unique().sort())
            return self.known(ids)
        return found

    def _add(self, ids: pl.Series) -> None:
        start = self.height
        added = pl.DataFrame({"product_id": ids, "index": np.arange(start, start + ids.len(), dtype=np.int64)})
        self._ids = pl.concat([self._ids, added], rechunk=True)
        key = added.select(subject_key("product_id")).to_series().to_numpy()
        self.keys, self._order = np.concatenate([self.keys, key]), None
        by_key = np.argsort(self.keys, kind="stable")
        self._sorted = self.keys[by_key], by_key
        for name, default in self.defaults.items():
            self.columns[name] = np.concatenate([self.columns[name], np.full(ids.len(), default, dtype=np.int64)])

    def frame(self) -> pl.DataFrame:
        """All columns, sorted by ``product_id``: the stored form."""
        return pl.DataFrame({"product_id": self.ids, **self.columns}).sort("product_id")

    @classmethod
    def of(cls, frame: pl.DataFrame, defaults: Mapping[str, int]) -> Products:
        """The working form of what ``frame`` gave."""
        products = cls(defaults)
        products._add(frame["product_id"])
        products.columns = {name: frame[name].to_numpy().astype(np.int64) for name in defaults}
        return products
