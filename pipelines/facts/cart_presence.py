"""When a visitor has a product in an open cart: carts folded over some days, without values or cohorts.

An order of the visitor, or of the cart itself, closes a cart; one that was silent for long begins anew. A quantity
never falls below zero. What happens at an instant is seen after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

INF = int(np.iinfo(np.int64).max)
#: Open carts: keys of the cart and of its visitor, and the last activity in microseconds.
CARTS = {"cart": pl.Int64, "visitor": pl.Int64, "last_at": pl.Int64}
#: What they hold, in thousandths above zero.
ITEMS = {"cart": pl.Int64, "product_id": pl.String, "quantity": pl.Int64}
_ITEM = ["epoch", "product_id"]


@dataclass(frozen=True)
class Carts:
    """Open carts at an instant: ``CARTS`` and ``ITEMS``, sorted by what identifies a row."""

    carts: pl.DataFrame
    items: pl.DataFrame


def empty() -> Carts:
    """No carts."""
    return Carts(pl.DataFrame(schema=CARTS), pl.DataFrame(schema=ITEMS))


def fold(
    before: Carts, steps: pl.DataFrame, orders: pl.DataFrame, end: int, active: int, forget: int
) -> tuple[pl.DataFrame, Carts]:
    """Fold the steps of some days over the carts before them.

    Args:
        before: carts when the days begin.
        steps: ``cart_activity``: cart, visitor, at, event_id, line, step, product_id, quantity.
        orders: ``visitor_orders``: visitor, at.
        end: end of the days.
        active: microseconds after its last activity in which a cart counts.
        forget: microseconds of silence after which a cart begins anew.

    Returns:
        ``visitor``, ``product_id``, ``after``, ``until``: spans in which the product is in an active cart, which may
        overlap for one visitor; and the carts at the end.
    """
    acts, ends = steps.filter(pl.col("step") != "order"), steps.filter(pl.col("step") == "order")
    known = pl.concat([before.carts.select("cart", "visitor"), acts.select("cart", "visitor")]).unique()
    closes = pl.concat(
        [
            ends.join(known, on="cart", how="semi").select("cart", "at"),
            orders.join(known, on="visitor").select("cart", "at"),
        ]
    ).unique()
    touched = pl.concat([acts.select("cart"), closes.select("cart")]).unique()
    path = _epochs(before.carts.join(touched, on="cart", how="semi"), acts, closes, forget)
    items = _items(before.items.join(touched, on="cart", how="semi"), acts, path)
    resting = before.carts.join(touched, on="cart", how="anti")
    idle = before.items.join(resting, on="cart")
    still = idle.select(
        "visitor", "product_id", pl.col("last_at").alias("after"), (pl.col("last_at") + active).alias("until")
    )
    moving = _while_active(items, path, active).join(known, on="cart").select(still.columns)
    after = _left(items, path, known, end, forget)
    kept = resting.filter(pl.col("last_at") + forget > end)
    carts = Carts(
        pl.concat([kept, after.carts]).sort("cart"),
        pl.concat([before.items.join(kept, on="cart", how="semi"), after.items]).sort("cart", "product_id"),
    )
    return pl.concat([still, moving]), carts


def _epochs(carts: pl.DataFrame, acts: pl.DataFrame, closes: pl.DataFrame, forget: int) -> pl.DataFrame:
    """Instants of activity: cart, at, ``epoch``, ``carried``, ``closed_at`` (null: not closed)."""
    no, yes = pl.lit(0, dtype=pl.Int64), pl.lit(1, dtype=pl.Int64)
    rows = pl.concat(
        [
            carts.select("cart", at="last_at", kind=no, carried=True),
            acts.select("cart", "at").unique().with_columns(kind=no, carried=False),
            closes.select("cart", "at", kind=yes, carried=False),
        ]
    ).sort("cart", "at", "kind")
    same = (pl.col("cart") == pl.col("cart").shift(1)).fill_null(False)
    silent = (pl.col("kind") == 0) & (pl.col("at") - pl.col("at").shift(1) >= forget)
    fresh = ~same | (pl.col("kind").shift(1) == 1) | silent
    rows = rows.with_columns(fresh.cast(pl.Int64).cum_sum().alias("epoch"))
    closed = rows.filter(pl.col("kind") == 1).select("epoch", pl.col("at").alias("closed_at"))
    return rows.filter(pl.col("kind") == 0).drop("kind").join(closed, on="epoch", how="left", maintain_order="left")


def _items(held: pl.DataFrame, acts: pl.DataFrame, path: pl.DataFrame) -> pl.DataFrame:
    """Quantities after each instant: cart, epoch, product_id, at, quantity, ``until``."""
    columns = ["cart", *_ITEM, "at", "event_id", "line", "change", "closed_at"]
    start = held.join(path.filter("carried"), on="cart").with_columns(
        pl.col("quantity").alias("change"), pl.lit("").alias("event_id"), pl.lit(-1, dtype=pl.Int64).alias("line")
    )
    signed = (
        pl.when(pl.col("step") == "add").then("quantity").when(pl.col("step") == "remove").then(-pl.col("quantity"))
    )
    moved = acts.filter(pl.col("product_id").is_not_null() & pl.col("step").is_in(["add", "remove"]))
    placed = moved.join(path.filter(~pl.col("carried")), on=["cart", "at"]).with_columns(signed.alias("change"))
    rows = pl.concat([start.select(columns), placed.select(columns)]).sort(*_ITEM, "at", "event_id", "line")
    rows = rows.with_columns(pl.col("change").cum_sum().over(_ITEM).alias("total"))
    floor = pl.min_horizontal(pl.col("total").cum_min().over(_ITEM), pl.lit(0))
    rows = rows.with_columns((pl.col("total") - floor).alias("quantity"))
    last = rows.unique([*_ITEM, "at"], keep="last", maintain_order=True)
    same = pl.all_horizontal((pl.col(name) == pl.col(name).shift(-1)).fill_null(False) for name in _ITEM)
    following = pl.when(same).then(pl.col("at").shift(-1)).otherwise(pl.col("closed_at").fill_null(INF))
    return last.with_columns(following.alias("until"), (~same).alias("newest"))


def _while_active(items: pl.DataFrame, path: pl.DataFrame, active: int) -> pl.DataFrame:
    """``cart``, ``product_id``, ``after``, ``until`` of items while their cart is active."""
    same = (pl.col("epoch") == pl.col("epoch").shift(1)).fill_null(False)
    fresh = ~same | (pl.col("at") - pl.col("at").shift(1) > active)
    runs = path.with_columns(fresh.cast(pl.Int64).cum_sum().alias("run")).group_by("epoch", "run")
    spans = runs.agg(pl.col("at").min().alias("from"), (pl.col("at").max() + active).alias("to"))
    pairs = items.filter(pl.col("quantity") > 0).join(spans, on="epoch")
    found = pairs.select(
        "cart",
        "product_id",
        pl.max_horizontal("at", "from").alias("after"),
        pl.min_horizontal("until", "to").alias("until"),
    )
    return found.filter(pl.col("after") < pl.col("until"))


def _left(items: pl.DataFrame, path: pl.DataFrame, known: pl.DataFrame, end: int, forget: int) -> Carts:
    newest = path.unique("cart", keep="last", maintain_order=True)
    open_ = newest.filter(pl.col("closed_at").is_null() & (pl.col("at") + forget > end))
    held = items.filter(pl.col("newest") & (pl.col("quantity") > 0)).join(open_, on=["cart", "epoch"], how="semi")
    carts = open_.join(held, on="cart", how="semi").join(known, on="cart")
    return Carts(carts.select("cart", "visitor", pl.col("at").alias("last_at")), held.select(list(ITEMS)))


def changes(spans: pl.DataFrame, first: int, last: int, step: int) -> pl.DataFrame:
    """How the number of visitors changes from one grid instant to the next: ``product_id``, ``grid``, ``change``.

    Args:
        spans: what ``fold`` gave; a visitor counts once however many spans there are.
        first: number of the first grid instant; before it there is nobody.
        last: of the last one.
        step: microseconds between them; instant n is ``n x step``.
    """
    placed = spans.select(
        "product_id",
        "visitor",
        pl.max_horizontal(pl.col("after") // step + 1, pl.lit(first)).alias("in"),
        pl.min_horizontal(pl.col("until") // step, pl.lit(last)).alias("out"),
    ).filter(pl.col("in") <= pl.col("out"))
    rows = placed.sort("product_id", "visitor", "in", "out")
    key = ["product_id", "visitor"]
    # The runs of one visitor are merged: a span that begins within what was reached before adds only what is beyond.
    rows = rows.with_columns(pl.col("out").cum_max().shift(1).over(key).alias("reached"))
    rows = rows.with_columns(pl.max_horizontal("in", pl.col("reached") + 1).alias("in"))
    rows = rows.filter(pl.col("in") <= pl.col("out"))
    one = pl.lit(1, dtype=pl.Int64)
    begun = rows.select("product_id", pl.col("in").alias("grid"), one.alias("change"))
    over = rows.select("product_id", (pl.col("out") + 1).alias("grid"), (-one).alias("change"))
    both = pl.concat([begun, over.filter(pl.col("grid") <= last)])
    return both.group_by("grid", "product_id").agg(pl.col("change").sum()).sort("grid", "product_id")
