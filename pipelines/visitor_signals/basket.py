"""Visitors' open carts at the end of a day, and the strongest product signal in each.

A cart is open as for ``cart_pressure``: until an order of the visitor or the cart, until it is empty, or until it was
silent for a time. A visitor's carts count together.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.daily.space import Ints, Names
from pipelines.facts.cart_presence import Carts, fold
from pipelines.facts.cart_steps import keyed, steps
from pipelines.signals import strongest
from pipelines.signals.catalogue import Signal
from pipelines.signals.demand import micros
from pipelines.signals.visitor_measures import Journey, Strongest
from pipelines.storage.hashing import subject_key
from pipelines.storage.pinned import Pinned
from pipelines.visitor_signals.resolve import Definitions, Resolved
from pipelines.visitor_signals.rows import Reading


def forgetting(definitions: Definitions) -> list[int]:
    """Times of silence, in microseconds, after which a cart is none: one for each signal of carts, each once."""
    found = {
        each.signal.param(each.signal.measure.forget)
        for each in definitions.values()
        if isinstance(each.signal.measure, Journey | Strongest)
    }
    return sorted(found)


def advance(before: Carts, lake: Pinned, orders: pl.DataFrame, day: Day, forget: int) -> Carts:
    """Open carts at the end of a day.

    Args:
        before: those of the day before.
        lake: with ``cart_activity``.
        orders: ``flockr_vid`` and ``at`` in microseconds.
        day: the day.
        forget: microseconds of silence after which a cart is none.
    """
    rows = keyed(lake.scan("cart_activity", [day.date]))
    ended = orders.select(subject_key("flockr_vid"), "at")
    _, after = fold(
        before, steps(rows), (ended["flockr_vid"].to_numpy(), ended["at"].to_numpy()), micros(day.end), forget, forget
    )
    return after


def visitors_of(lake: Pinned, day: date) -> pl.Series:
    """Visitors with a cart step on a day."""
    return lake.scan("cart_activity", [day]).select(pl.col("flockr_vid").unique().sort()).collect()["flockr_vid"]


def held(carts: Carts, names: Names) -> pl.DataFrame:
    """``owner`` (number of the visitor) and ``product`` (key) of everything in an open cart, each pair once."""
    pairs = carts.items.join(carts.carts.select("cart", "visitor"), on="cart").select("visitor", "product")
    owner = names.find(pairs["visitor"].to_numpy())
    return pairs.select(pl.Series("owner", owner), "product").filter(pl.col("owner") >= 0).unique()


def owners(inside: pl.DataFrame) -> Ints:
    """Numbers of visitors with something in a cart, rising."""
    return np.unique(inside["owner"].to_numpy()).astype(np.int64)


def codes(signal: Signal) -> dict[int, str]:
    """States by code: the strongest the greatest; 0 is none."""
    assert isinstance(signal.measure, Strongest)  # noqa: S101
    names = signal.measure.ranking
    return {0: signal.normal or "none", **{len(names) - place: name for place, name in enumerate(names)}}


def top(found: Resolved, inside: pl.DataFrame, products: pl.DataFrame) -> Reading:
    """The strongest signal in each visitor's cart, with the product that has it.

    Args:
        found: the signal.
        inside: what ``held`` gave.
        products: what ``strongest.at_end`` gave.
    """
    by_cart = inside.join(products.with_columns(subject_key("product_id").alias("product")), on="product")
    chosen = strongest.strongest(by_cart, "owner").sort("owner")
    owner = chosen["owner"].to_numpy().astype(np.int64)
    none = np.zeros(len(owner), dtype=np.int64)
    strength = chosen["strength"].to_numpy()
    assert isinstance(found.signal.measure, Strongest)  # noqa: S101
    code = len(found.signal.measure.ranking) - strength
    names = {key: name for key, name in codes(found.signal).items() if key}
    return Reading(found.id, found.version, "visitor", owner, owner, none, none, code, names, item=chosen["product_id"])
