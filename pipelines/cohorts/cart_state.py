"""What carts carry from day to day, and the frames that one day of carts is computed from.

Instants are Int64 microseconds while computing; ``INF`` stands for "not yet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipelines.cohorts.catalogue import CartRules
from pipelines.signals.chain import Chain

#: Changes when the columns of the state do, so that files of an older layout are not found.
LAYOUT = "4"
INF = int(np.iinfo(np.int64).max)

#: ``visitor`` is the key of ``flockr_vid``, for what must only be fast.
CARTS: Mapping[str, type[pl.DataType]] = {
    "visitor": pl.Int64,
    "flockr_vid": pl.String,
    "cart_key": pl.String,
    "last_at": pl.Int64,
    "abandoned_at": pl.Int64,
    "open_items": pl.Int64,
    "value": pl.Int64,
    "priced": pl.Int64,
    "foreign": pl.Int64,
    "worth": pl.Int64,
    "total": pl.Int64,
    "currency": pl.String,
    "product_ids": pl.String,
    "valuable": pl.Boolean,
    "scarce": pl.Boolean,
    "quiet_since": pl.Int64,
}
ITEMS: Mapping[str, type[pl.DataType]] = {
    "visitor": pl.Int64,
    "flockr_vid": pl.String,
    "cart_key": pl.String,
    "product_id": pl.String,
    "quantity": pl.Int64,
    "price": pl.Int64,
    "currency": pl.String,
}
CONTEXT: Mapping[str, type[pl.DataType]] = {
    "cart_total_value_minor": pl.Int64,
    "currency": pl.String,
    "cart_product_ids": pl.String,
    "low_stock_product_ids": pl.String,
}
MEMBERS: Mapping[str, type[pl.DataType]] = {
    "visitor": pl.Int64,
    "cohort_id": pl.String,
    "subject": pl.String,
    "membership_key": pl.String,
    "is_member": pl.Boolean,
    "entered_at": pl.Int64,
    "expires_at": pl.Int64,
    "updated_at": pl.Int64,
    **CONTEXT,
}
SCARCE: Mapping[str, type[pl.DataType]] = {"product_id": pl.String, "state": pl.String, "at_end": pl.Boolean}
VALUES: Mapping[str, type[pl.DataType]] = {"value": pl.Int64, "carts": pl.Int64}

PARTS = ("carts", "items", "members", "scarce")


def _empty(schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


@dataclass
class CartState:
    """State at the end of a day.

    Attributes:
        carts: carts with activity in the last ttl (``CARTS``): latches, value in the tenant's currency, number of open
            items with a price (``priced``) and of those in another currency (``foreign``), ``worth`` of all, context.
        items: their products, those that were removed included (``ITEMS``).
        members: visitors in a cart cohort with what is published of them (``MEMBERS``).
        scarce: products in one of the states of the scarce cohort, and those that crossed a level at the very end of
            the day (``SCARCE``).
        values: values of the carts that were open at the end of each of the days before (``VALUES``).
    """

    carts: pl.DataFrame = field(default_factory=lambda: _empty(CARTS))
    items: pl.DataFrame = field(default_factory=lambda: _empty(ITEMS))
    members: pl.DataFrame = field(default_factory=lambda: _empty(MEMBERS))
    scarce: pl.DataFrame = field(default_factory=lambda: _empty(SCARCE))
    values: dict[date, pl.DataFrame] = field(default_factory=dict)

    def bound(self, rules: CartRules, day: date) -> int:
        """The value that a cart must have on a day: the floor, or the nearest-rank percentile of the days before."""
        if not rules.valuable:
            return 0
        before = [self.values[day - timedelta(days=n)] for n in range(1, rules.partitions + 1) if self._has(day, n)]
        pooled = pl.concat([_empty(VALUES), *before]).group_by("value").agg(pl.col("carts").sum()).sort("value")
        total = pooled["carts"].sum()
        if not total:
            return rules.floor
        rank = -(-total * rules.percentile // 100)
        reached = pooled.filter(pl.col("carts").cum_sum() >= max(rank, 1))
        return max(rules.floor, int(reached["value"][0]))

    def open_values(self, currency: str) -> pl.DataFrame:
        """``VALUES`` of the carts that are open."""
        rows = self.carts.lazy().filter((pl.col("open_items") > 0) & (pl.col("currency") == currency))
        counted = rows.group_by(pl.col("total").alias("value")).agg(pl.len().cast(pl.Int64).alias("carts"))
        return counted.sort("value").collect()

    def _has(self, day: date, back: int) -> bool:
        return day - timedelta(days=back) in self.values


def load(chain: Chain, day: date, rules: CartRules) -> CartState:
    """State at the end of a day for which ``usable`` holds."""
    carts, items, members, scarce = (chain.load(day, part) for part in PARTS)
    state = CartState(carts, items, members, scarce)
    state.values = {each: chain.load(each, "values") for each in _window(chain, day, rules)}
    return state


def usable(chain: Chain, day: date, rules: CartRules) -> bool:
    """Whether the state of a day and the values of the days before it are all there."""
    return chain.has(day, PARTS) and all(chain.has(each, ["values"]) for each in _window(chain, day, rules))


def save(chain: Chain, days: Sequence[date], state: CartState, *, whole: bool) -> None:
    """Keep the values of the days, and where ``whole`` the rest of the state, which is that of the last of them."""
    for day in days:
        if day in state.values:
            chain.save(day, "values", state.values[day])
    if whole:
        for part in PARTS:
            chain.save(days[-1], part, getattr(state, part))


def _window(chain: Chain, day: date, rules: CartRules) -> list[date]:
    days = [day - timedelta(days=back) for back in range(rules.partitions)]
    return [each for each in days if each in chain.prints]
