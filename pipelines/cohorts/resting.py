"""Which visitors a day can change, and the state cut in two by that: those that move, and those that rest.

A visitor rests when none of their carts sees a step, an order, a silence, an expiry, a crossing of a product in it, the
end of a quiet time, or the other side of the day's value bound. Their membership rows are those of the day before.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_state import CartState
from pipelines.cohorts.catalogue import CartRules
from pipelines.storage.hashing import subject_key


@dataclass(frozen=True)
class Halves:
    """The state at the start of a day: what is computed anew, and what is carried as it is."""

    moving: CartState
    resting: CartState


def halves(
    state: CartState,
    steps: pl.DataFrame,
    orders: pl.DataFrame,
    crossings: pl.DataFrame,
    rules: CartRules,
    bound: int,
    end: int,
) -> Halves:
    """Cut carts, items and members of the state; everything else of it belongs to both halves.

    Args:
        state: at the end of the day before.
        steps: of the day: ``flockr_vid``.
        orders: of the day: ``flockr_vid``.
        crossings: of the day: ``product_id``.
        rules: silence, ttl and the other settings.
        bound: the day's value bound.
        end: first instant after the day, in microseconds.
    """
    due = state.carts.lazy().filter(_due(rules, bound, end)).select("visitor")
    # A crossing at the very end of a day is seen from the next day on.
    crossed = pl.concat([crossings.select("product_id"), state.scarce.filter("at_end").select("product_id")])
    products = crossed["product_id"].unique()
    holds = (pl.col("quantity") > 0) & pl.col("product_id").is_in(products.implode())
    touched = [rows.lazy().select(visitor=subject_key("flockr_vid")) for rows in (steps, orders)]
    held = state.items.lazy().filter(holds).select("visitor")
    # Two visitors with one key would only make one of them move for nothing.
    visitors = pl.concat([due, held, *touched]).unique().collect()["visitor"]
    inside = pl.col("visitor").is_in(visitors.implode())
    return Halves(_cut(state, inside), _cut(state, ~inside))


def _cut(state: CartState, keep: pl.Expr) -> CartState:
    return CartState(state.carts.filter(keep), state.items.filter(keep), state.members.filter(keep), state.scarce)


def _due(rules: CartRules, bound: int, end: int) -> pl.Expr:
    """Carts that change on the day though nobody touches them."""
    is_open = pl.col("open_items") > 0
    parts = [
        is_open & pl.col("abandoned_at").is_null(),
        pl.col("last_at") + rules.ttl <= end,
        pl.col("quiet_since") + rules.quiet <= end,
    ]
    if rules.valuable:
        value = pl.col("value")
        lost = value * 100 < bound * rules.keep
        parts.append(is_open & pl.when("valuable").then(lost).otherwise(value >= bound))
    return pl.any_horizontal(parts).fill_null(False)
