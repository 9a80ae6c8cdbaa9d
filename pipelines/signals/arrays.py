"""Columns per product as growing numpy arrays: the working form of the state while days are computed.

Only storage and lookup; what the columns mean is in ``demand`` and ``scarcity``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.storage.hashing import subject_key

#: Between a product and a place in the name of a slot; the total over all places has an empty place.
SEPARATOR = "\x1f"
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
    _parts: pl.DataFrame | None = None
    _places: tuple[pl.Series, Ints] | None = None
    _owners: tuple[int, Ints] | None = None
    _sorted: tuple[Ints, Ints] = field(
        default_factory=lambda: (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    )
    _table: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, dtype=np.int32))
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
    def parts(self) -> pl.DataFrame:
        """``subject`` and ``place`` by index; the place is null for products and for totals."""
        if self._parts is None:
            self._parts = split_place(pl.DataFrame({"subject": self.ids}))
        return self._parts

    @property
    def order(self) -> Ints:
        """Indexes in the order of products, and of their places with the total last."""
        if self._order is None:
            numbered = self.parts.with_row_index("index").sort("subject", "place", nulls_last=True)
            self._order = numbered["index"].to_numpy().astype(np.int64)
        return self._order

    @property
    def places(self) -> tuple[pl.Series, Ints]:
        """Places in their order, and by index which one it is; -1 for none."""
        if self._places is None:
            place = self.parts["place"]
            texts = place.drop_nulls().unique().sort()
            number = place.cast(pl.Enum(texts)).to_physical().cast(pl.Int64)
            self._places = texts, number.fill_null(-1).to_numpy()
        return self._places

    def owners(self, products: Products) -> Ints:
        """Index in ``products`` of the product of each slot."""
        if self._owners is None or self._owners[0] != products.height:
            self._owners = products.height, products.known(self.parts["subject"])
        return self._owners[1]

    def known(self, ids: pl.Series) -> Ints:
        """Index of each id, -1 for one that is not there."""
        if not self.height:
            return np.full(ids.len(), -1, dtype=np.int64)
        asked = pl.DataFrame({"product_id": ids})
        found = self.by_key(asked.select(subject_key("product_id")).to_series().to_numpy())
        there = found >= 0
        # Keys are looked up and names decide: where two names share a key, all of them are joined.
        same = (self.ids.gather(np.maximum(found, 0)) == asked["product_id"]).to_numpy()
        if not same[there].all():
            joined = asked.join(self._ids, on="product_id", how="left", maintain_order="left")["index"]
            found = joined.fill_null(-1).to_numpy().astype(np.int64, copy=False)
        return found

    def by_key(self, keys: Ints) -> Ints:
        """Index of a product with each key, -1 where there is none; names are not compared."""
        if not self.height:
            return np.full(len(keys), -1, dtype=np.int64)
        found: Ints = self._table[keys & (len(self._table) - 1)].astype(np.int64)
        missed = np.flatnonzero(self.keys[found] != keys)
        if len(missed):
            place = np.minimum(np.searchsorted(self._sorted[0], keys[missed]), self.height - 1)
            there = self._sorted[0][place] == keys[missed]
            found[missed] = np.where(there, self._sorted[1][place], -1)
        return found

    def index(self, ids: pl.Series) -> Ints:
        """Index of each id; new ids are added in the order of their names."""
        found = self.known(ids)
        if (found < 0).any():
            self._add(ids.filter(pl.Series(found < 0)).unique().sort())
            return self.known(ids)
        return found

    def index_by_key(self, keys: Ints, ids: pl.Series) -> Ints:
        """``index`` where keys tell products apart."""
        found = self.by_key(keys)
        if (found < 0).any():
            self.index(ids.filter(pl.Series(found < 0)))
            return self.by_key(keys)
        return found

    def _add(self, ids: pl.Series) -> None:
        start = self.height
        added = pl.DataFrame({"product_id": ids, "index": np.arange(start, start + ids.len(), dtype=np.int64)})
        self._ids = pl.concat([self._ids, added], rechunk=True)
        key = added.select(subject_key("product_id")).to_series().to_numpy()
        self.keys, self._order, self._parts = np.concatenate([self.keys, key]), None, None
        self._places = self._owners = None
        by_key = np.argsort(self.keys, kind="stable")
        self._sorted = self.keys[by_key], by_key
        # Most keys are found by their last bits alone.
        self._table = np.zeros(1 << (8 * self.height).bit_length(), dtype=np.int32)
        self._table[self.keys & (len(self._table) - 1)] = np.arange(self.height)
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


class Part:
    """Some products as a table of their own; its columns are copies until they are put back."""

    def __init__(self, products: Products, index: Ints) -> None:
        self.index = index
        self._products = products
        self._columns: dict[str, Ints] = {}

    def __getitem__(self, name: str) -> Ints:
        if name not in self._columns:
            self._columns[name] = self._products[name][self.index]
        return self._columns[name]

    @property
    def height(self) -> int:
        """Number of products."""
        return len(self.index)

    def put(self, names: Iterable[str]) -> None:
        """Put columns back, as they are now."""
        for name in names:
            self._products[name][self.index] = self[name]


Table = Products | Part


def split_place(rows: pl.DataFrame) -> pl.DataFrame:
    """``subject`` as a product, and its ``place``: null for the whole tenant."""
    if not rows["subject"].str.contains(SEPARATOR, literal=True).any():
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias("place"))
    parts = pl.col("subject").str.splitn(SEPARATOR, 2)
    place = parts.struct.field("field_1").replace("", None).alias("place")
    return rows.with_columns(parts.struct.field("field_0").alias("subject"), place)
