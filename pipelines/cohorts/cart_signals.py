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

    def numbers(self, lists: pl.Series) -> Ints:
        """Number of each cart, -1 for null.

        Args:
            lists: ``cart_product_ids``.
        """
        if self._lists.height > _FORGET * (lists.len() + 1):
            self._forget()
        there = lists.is_not_null()
        found = np.full(lists.len(), -1, dtype=np.int64)
        found[there.to_numpy()] = self._numbers(lists.filter(there))
        return found

    def products(self, carts: pl.DataFrame) -> pl.DataFrame:
        """Rows repeated for each product of their cart, with ``product_id``.

        Args:
            carts: with ``number``, none of them -1.
        """
        numbers = carts["number"].to_numpy()
        counts = self._counts[numbers]
        begins = (np.cumsum(self._counts) - self._counts)[numbers]
        row = np.repeat(np.arange(len(numbers)), counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        inside = self._inside[begins[row] + within]
        return carts[row].with_columns(self._products.ids.gather(inside).alias("product_id"))

    def best(self, numbers: Ints, ranked: pl.DataFrame) -> pl.Series:
        """Strongest signal of each cart, null where no product has any or there is no cart.

        Args:
            numbers: what ``numbers`` gave.
            ranked: what ``strongest.ranked`` gave.
        """
        ordered = strongest.in_order(ranked)
        none = ordered.height
        place = np.full(self._products.height, none, dtype=np.int64)
        known = self._products.known(ordered["product_id"])
        place[known[known >= 0]] = np.flatnonzero(known >= 0)
        # One more than there are carts: what -1 stands for.
        least = np.full(self._lists.height + 1, none, dtype=np.int64)
        filled = np.flatnonzero(self._counts > 0)
        if len(filled):
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
    moved = found.transitions.height
    # Carts are numbered once, so that nothing below compares or hashes their lists.
    numbers = opened.numbers(pl.concat([found.transitions[_CART], found.members[_CART]]))
    inside = found.members["is_member"]
    at_end = opened.best(numbers[moved:], strongest.at_end(lake, day, by))
    at = pl.concat([found.transitions["at"], found.members["expires_at"]])
    asked = pl.DataFrame({"number": numbers, "at": at})
    momentary = pl.concat([pl.repeat(True, moved, eager=True), ~inside])
    moments = asked.filter(momentary & (asked["number"] >= 0)).unique().with_row_index("cart")
    at_moments = _best(moments, strongest.at_moments(lake, day, opened.products(moments), by))
    told = asked.filter(momentary).join(at_moments, on=["number", "at"], how="left", maintain_order="left")[
        "top_signal"
    ]
    shown = at_end.scatter((~inside).arg_true(), told[moved:])
    return Result(
        found.transitions.with_columns(told[:moved].alias("top_signal")),
        found.members.with_columns(shown.alias("top_signal")),
    )


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
