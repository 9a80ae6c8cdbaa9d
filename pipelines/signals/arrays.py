"""Columns per product as growing numpy arrays: the working form of the state while days are computed.

Only storage and lookup; what the columns mean is in ``demand`` and ``scarcity``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass
class Products:
    """Products in order of first appearance, with Int64 columns.

    Attributes:
        defaults: column -> value of a product that was never touched.
        columns: column -> one value a product.
    """

    defaults: Mapping[str, int]
    columns: dict[str, Ints] = field(default_factory=dict)
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

    def index(self, ids: pl.Series) -> Ints:
        """Index of each id; new ids are added in the order of their names."""
        known = pl.DataFrame({"product_id": ids}).join(self._ids, on="product_id", how="left", maintain_order="left")
        fresh = known.filter(pl.col("index").is_null())["product_id"].unique().sort()
        if fresh.len():
            self._add(fresh)
            return self.index(ids)
        return known["index"].to_numpy().astype(np.int64, copy=False)

    def _add(self, ids: pl.Series) -> None:
        start = self.height
        added = pl.DataFrame({"product_id": ids, "index": np.arange(start, start + ids.len(), dtype=np.int64)})
        self._ids = pl.concat([self._ids, added], rechunk=True)
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
