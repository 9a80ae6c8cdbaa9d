"""How far a visitor is since the last order: browsing, comparing products of one category, or deciding.

Decided at the end of each tenant day, over a window of tenant days that ends with it. What happened up to the instant
of the newest order is behind the visitor. Who did nothing since has no stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.cohorts.daily.space import Flags, Ints, Space
from pipelines.cohorts.daily.state import NONE
from pipelines.signals.catalogue import Signal
from pipelines.signals.units import DAY
from pipelines.signals.visitor_measures import Journey
from pipelines.visitor_signals.acts import DayActs

#: Columns of visitors: the newest instant of each; ``NONE`` where it is older than any window.
LAST = {"last_act": NONE, "last_checkout": NONE, "last_order": NONE}
_BITS = 32
BROWSING, COMPARING, DECIDING = 0, 1, 2


def days(signal: Signal) -> int:
    """Tenant days of the window."""
    assert isinstance(signal.measure, Journey)  # noqa: S101
    return signal.param(signal.measure.window) // DAY


@dataclass
class Viewed:
    """Products that visitors viewed: sorted pairs with the newest instant, and the category that the product had then.

    Attributes:
        pair: number of the visitor in the upper half, number of the product in the lower one.
        last: microseconds.
        category: key.
        products: numbers of products by key.
    """

    pair: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    last: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    category: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    products: Space = field(default_factory=Space)

    def add(self, acts: DayActs) -> None:
        """Take in the views of a day that is not before those that were added."""
        views = acts["view"]
        named = (views.product != 0) & (views.category != 0)
        pair = (views.owner[named] << _BITS) | self.products.number(views.product[named])
        at, category = views.at[named], views.category[named]
        # Of views at one instant the greatest category counts; it differs only where the product's own changes then.
        order = np.lexsort((category, at, pair))
        newest = order[np.flatnonzero(np.diff(pair[order], append=-1))]
        pair, at, category = pair[newest], at[newest], category[newest]
        place = np.searchsorted(self.pair, pair)
        known = np.zeros(len(pair), dtype=np.bool_)
        inside = place < len(self.pair)
        known[inside] = self.pair[place[inside]] == pair[inside]
        self.last[place[known]], self.category[place[known]] = at[known], category[known]
        fresh = ~known
        self.last = np.insert(self.last, place[fresh], at[fresh])
        self.category = np.insert(self.category, place[fresh], category[fresh])
        self.pair = np.insert(self.pair, place[fresh], pair[fresh])

    def forget(self, before: int) -> None:
        """Drop what was last viewed before an instant."""
        kept = self.last >= before
        if not kept.all():
            self.pair, self.last, self.category = self.pair[kept], self.last[kept], self.category[kept]

    def comparing(self, after: Ints, products: int) -> Ints:
        """Visitors who viewed so many products of one category after an instant of their own.

        Args:
            after: by visitor, exclusive.
            products: different ones.
        """
        owner = self.pair >> _BITS
        kept = self.last > after[owner]
        owner, category = owner[kept], self.category[kept]
        many = np.bincount(owner, minlength=len(after)) >= products
        some = many[owner]
        owner, category = owner[some], category[some]
        order = np.lexsort((category, owner))
        owner, category = owner[order], category[order]
        begins = np.flatnonzero(
            (np.diff(owner, prepend=-1) != 0) | np.concatenate([[True], category[1:] != category[:-1]])[: len(owner)]
        )
        size = np.diff(begins, append=len(owner))
        return np.unique(owner[begins[size >= products]])


def note(space: Space, acts: DayActs, orders: tuple[Ints, Ints]) -> None:
    """Move ``LAST`` over a day.

    Args:
        space: visitors.
        acts: of the day.
        orders: number of the visitor and instant of each order.
    """
    for each in acts.values():
        np.maximum.at(space["last_act"], each.owner, each.at)
    np.maximum.at(space["last_checkout"], acts["checkout"].owner, acts["checkout"].at)
    np.maximum.at(space["last_order"], *orders)


def settle(space: Space, before: int) -> None:
    """Forget instants that no window reaches."""
    for name in LAST:
        column = space[name]
        column[column < before] = NONE


def stages(signal: Signal, space: Space, viewed: Viewed, carts: Ints, oldest: int) -> tuple[Flags, Ints]:
    """Who has a stage, and which.

    Args:
        signal: the definition.
        space: visitors, with ``LAST``.
        viewed: what they viewed in the window.
        carts: visitors with something in an open cart.
        oldest: first instant of the window.
    """
    assert isinstance(signal.measure, Journey)  # noqa: S101
    after = np.maximum(space["last_order"], oldest - 1)
    code = np.full(space.height, BROWSING, dtype=np.int64)
    code[viewed.comparing(after, signal.param(signal.measure.products))] = COMPARING
    code[space["last_checkout"] > after] = DECIDING
    code[carts] = DECIDING
    there = space["last_act"] > after
    there[carts] = True
    return there, np.where(there, code, BROWSING)


def names(signal: Signal) -> Mapping[int, str]:
    """States by code."""
    stated: Sequence[str] = [each.state for each in signal.states]
    return {BROWSING: signal.normal or "browsing", **dict(enumerate(stated, start=1))}
