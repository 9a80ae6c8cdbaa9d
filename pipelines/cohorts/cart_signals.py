"""The strongest signal of a cart, as rows of the cart cohorts show it: ``top_signal``, as for the visitor's signal.

A member's is that of the cart at the end of the day, a transition's and a leaver's that of its instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.daily.space import Ints, Names
from pipelines.cohorts.result import Result
from pipelines.signals import strongest
from pipelines.signals.strongest import Published, Ranking

_CART = "cart_product_ids"
_NOTHING = "[]"
#: Carts seen are let go of when they are so many times those of the day.
_FORGET = 5


@dataclass
class Opened:
    """Products of carts that were seen; most carts of a day are those of the day before, and are taken apart once."""

    _lists: Names = field(default_factory=Names)
    _products: Names = field(default_factory=Names)
    _counts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _inside: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def best(self, lists: pl.Series, ranked: pl.DataFrame) -> pl.Series:
        """Strongest signal of each cart, null where no product has any.

        Args:
            lists: ``cart_product_ids``, none of them null.
            ranked: what ``strongest.ranked`` gave.
        """
        if self._lists.height > _FORGET * (lists.len() + 1):
            self._forget()
        numbers = self._numbers(lists)
        ordered = strongest.in_order(ranked)
        none = ordered.height
        place = np.full(self._products.height, none, dtype=np.int64)
        known = self._products.known(ordered["product_id"])
        place[known[known >= 0]] = np.flatnonzero(known >= 0)
        least = np.full(self._lists.height, none, dtype=np.int64)
        filled = self._counts > 0
        if filled.any():
            begins = (np.cumsum(self._counts) - self._counts)[filled]
            least[filled] = np.minimum.reduceat(place[self._inside], begins)
        told = pl.concat([ordered["top_signal"], pl.Series([None], dtype=pl.String)])
        return told.gather(least[numbers]).alias("top_signal")

    def _forget(self) -> None:
        none = np.zeros(0, dtype=np.int64)
        self._lists, self._products, self._counts, self._inside = Names(), Names(), none, none

    def _numbers(self, lists: pl.Series) -> Ints:
        known = self._lists.height
        numbers = self._lists.of(lists)
        fresh = pl.DataFrame({_CART: self._lists.ids[known:]}).with_row_index("cart")
        if fresh.height:
            opened = _opened(fresh).drop_nulls().sort("cart", maintain_order=True)
            counts = np.bincount(opened["cart"].to_numpy(), minlength=fresh.height).astype(np.int64)
            self._counts = np.concatenate([self._counts, counts])
            self._inside = np.concatenate([self._inside, self._products.of(opened["product_id"])])
        return numbers


def with_top_signals(found: Result, lake: Published, day: Day, by: Ranking | None, opened: Opened) -> Result:
    """Rows of the cart cohorts of a day with ``top_signal``; null everywhere without a ranking.

    Args:
        found: rows with ``cart_product_ids``.
        lake: with the signals of products.
        day: the day.
        by: the ranking.
        opened: carts that were seen on the days before.
    """
    if by is None or (found.transitions.is_empty() and found.members.is_empty()):
        return found
    inside = pl.col("is_member")
    gone = found.members.filter(~inside).select(_CART, pl.col("expires_at").alias("at"))
    moments = pl.concat([found.transitions.select(_CART, "at"), gone]).unique().with_row_index("cart")
    at_moments = _best(moments, strongest.at_moments(lake, day, _opened(moments), by))
    transitions = found.transitions.join(at_moments, on=[_CART, "at"], how="left", maintain_order="left")
    stays = found.members["is_member"] & found.members[_CART].is_not_null()
    carts = found.members[_CART].filter(stays)
    at_end = pl.Series("top_signal", [None], dtype=pl.String).new_from_index(0, found.members.height)
    at_end = at_end.scatter(stays.arg_true(), opened.best(carts, strongest.at_end(lake, day, by)))
    left = found.members.select(_CART, pl.col("expires_at").alias("at"))
    leaving = left.join(at_moments, on=[_CART, "at"], how="left", maintain_order="left")
    chosen = pl.when(inside).then(at_end).otherwise(leaving["top_signal"])
    return Result(transitions, found.members.with_columns(chosen.alias("top_signal")))


def _opened(carts: pl.DataFrame) -> pl.DataFrame:
    """Carts with one row a product, without the lists."""
    lists = pl.col(_CART)
    # Few ids have anything to escape, and to cut the others apart costs a fraction of decoding them.
    plain = ~lists.str.contains("\\", literal=True) & (lists != _NOTHING)
    cut = lists.str.slice(2).str.strip_suffix('"]').str.split('","').alias("product_id")
    decoded = lists.str.json_decode(pl.List(pl.String)).alias("product_id")
    known = carts.filter(lists.is_not_null())
    parts = [known.filter(plain).with_columns(cut), known.filter(~plain).with_columns(decoded)]
    return pl.concat([part.drop(_CART).explode("product_id") for part in parts])


def _best(carts: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Each cart with its strongest signal; those without any are left out."""
    return carts.join(strongest.strongest(found, "cart").select("cart", "top_signal"), on="cart").drop("cart")
