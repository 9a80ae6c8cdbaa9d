"""The strongest signal of a cart, as rows of the cart cohorts show it: ``top_signal``, as for the visitor's signal.

A member's is that of the cart at the end of the day, a transition's and a leaver's that of its instant.
"""

from __future__ import annotations

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.result import Result
from pipelines.signals import strongest
from pipelines.signals.strongest import Ranking
from pipelines.storage.pinned import Pinned

_CART = "cart_product_ids"
_NOTHING = "[]"


def with_top_signals(found: Result, lake: Pinned, day: Day, by: Ranking | None) -> Result:
    """Rows of the cart cohorts of a day with ``top_signal``; null everywhere without a ranking.

    Args:
        found: rows with ``cart_product_ids``.
        lake: with the signals of products.
        day: the day.
        by: the ranking.
    """
    if by is None or (found.transitions.is_empty() and found.members.is_empty()):
        return found
    inside = pl.col("is_member")
    gone = found.members.filter(~inside).select(_CART, pl.col("expires_at").alias("at"))
    moments = pl.concat([found.transitions.select(_CART, "at"), gone]).unique().with_row_index("cart")
    at_moments = _best(moments, strongest.at_moments(lake, day, _opened(moments), by))
    carts = found.members.filter(inside).select(_CART).unique().with_row_index("cart")
    at_end = _best(carts, _opened(carts).join(strongest.at_end(lake, day, by), on="product_id"))
    transitions = found.transitions.join(at_moments, on=[_CART, "at"], how="left", maintain_order="left")
    staying = found.members.select(_CART).join(at_end, on=_CART, how="left", maintain_order="left")
    left = found.members.select(_CART, pl.col("expires_at").alias("at"))
    leaving = left.join(at_moments, on=[_CART, "at"], how="left", maintain_order="left")
    chosen = pl.when(inside).then(staying["top_signal"]).otherwise(leaving["top_signal"])
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
