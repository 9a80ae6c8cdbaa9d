"""When a visitor has a product in an open cart: carts folded over some days, without values or cohorts.

An order of the visitor, or of the cart itself, closes a cart; one that was silent for long begins anew. A quantity
never falls below zero. What happens at an instant is seen after it. Carts, visitors and products are keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.facts.in_order import before, expanded, order, running_least

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
INF = int(np.iinfo(np.int64).max)
#: Open carts: keys of the cart and of its visitor, and the last activity in microseconds.
CARTS = {"cart": pl.Int64, "visitor": pl.Int64, "last_at": pl.Int64}
#: What they hold, in thousandths above zero.
ITEMS = {"cart": pl.Int64, "product": pl.Int64, "quantity": pl.Int64}
ADD, REMOVE = 1, -1


@dataclass(frozen=True)
class Carts:
    """Open carts at an instant: ``CARTS`` and ``ITEMS``, sorted by what identifies a row."""

    carts: pl.DataFrame
    items: pl.DataFrame


@dataclass(frozen=True)
class Steps:
    """Steps of ``cart_activity``, those of each cart in the order in which they happened.

    Attributes:
        cart: key.
        visitor: key; a cart has one.
        at: microseconds.
        move: ``ADD``, ``REMOVE``, or 0 for what only touches a cart or names no product.
        ends: whether the step is an order, which closes its cart.
        product: key.
        quantity: thousandths.
    """

    cart: Ints
    visitor: Ints
    at: Ints
    move: Ints
    ends: Flags
    product: Ints
    quantity: Ints

    def where(self, some: Flags) -> Steps:
        """Some of the steps."""
        return Steps(*(getattr(self, name)[some] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Spans:
    """Times in which a product is in an active cart, ``after < t <= until``; those of a visitor may overlap."""

    visitor: Ints
    product: Ints
    after: Ints
    until: Ints


@dataclass(frozen=True)
class _Path:
    """Instants of activity in the order of carts and instants, split into epochs that begin with an empty cart."""

    cart: Ints
    at: Ints
    carried: Flags
    epoch: Ints
    closed_at: Ints
    of_act: Ints


@dataclass(frozen=True)
class _Items:
    """Quantities after each instant, in the order of epochs, products and instants."""

    row: Ints
    product: Ints
    at: Ints
    quantity: Ints
    until: Ints
    newest: Flags


def empty() -> Carts:
    """No carts."""
    return Carts(pl.DataFrame(schema=CARTS), pl.DataFrame(schema=ITEMS))


def fold(
    state: Carts, steps: Steps, orders: tuple[Ints, Ints], end: int, active: int, forget: int
) -> tuple[Spans, Carts]:
    """Fold the steps of some days over the carts before them.

    Args:
        state: carts when the days begin.
        steps: of the days.
        orders: visitors and instants of the days' ``visitor_orders``.
        end: end of the days.
        active: microseconds after its last activity in which a cart counts.
        forget: microseconds of silence after which a cart begins anew.

    Returns:
        The spans of the days, and the carts at the end.
    """
    held, visitor_held, last_at = (state.carts[name].to_numpy() for name in CARTS)
    acts, ends = steps.where(~steps.ends), steps.where(steps.ends)
    known, place = np.unique(np.concatenate([held, acts.cart]), return_index=True)
    visitor = np.concatenate([visitor_held, acts.visitor])[place]
    number = np.searchsorted(known, acts.cart)
    mine = np.searchsorted(known, held)
    closes = _closes(known, visitor, ends, orders)
    touched = np.zeros(len(known), dtype=np.bool_)
    touched[number] = touched[closes[0]] = True
    moving = touched[mine]
    path = _path((mine[moving], last_at[moving]), (number, acts.at), closes, forget)
    item_cart, item_product, item_quantity = (state.items[name].to_numpy() for name in ITEMS)
    owner = np.searchsorted(known, item_cart)
    going = touched[owner]
    items = _items((owner[going], item_product[going], item_quantity[going]), acts, path)
    still, seen = np.full(len(known), -1, dtype=np.int64), _while_active(items, path, active)
    still[mine] = last_at
    idle = owner[~going]
    spans = Spans(
        np.concatenate([visitor[idle], visitor[path.cart[seen.visitor]]]),
        np.concatenate([item_product[~going], seen.product]),
        np.concatenate([still[idle], seen.after]),
        np.concatenate([still[idle] + active, seen.until]),
    )
    kept = ~touched & (still >= 0) & (still + forget > end)
    rest = kept[owner]
    resting = owner[rest], item_product[rest], item_quantity[rest]
    return spans, _left(known, visitor, (still, kept), resting, items, path, end - forget)


def _closes(known: Ints, visitor: Ints, ends: Steps, orders: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Numbers of carts that are closed, and when."""
    own = np.minimum(np.searchsorted(known, ends.cart), max(len(known) - 1, 0))
    there = known[own] == ends.cart if len(known) else np.zeros(len(own), dtype=np.bool_)
    by_visitor = np.argsort(visitor, kind="stable")
    first = np.searchsorted(visitor, orders[0], side="left", sorter=by_visitor)
    after = np.searchsorted(visitor, orders[0], side="right", sorter=by_visitor)
    row, place = expanded(first, after - first)
    return np.concatenate([own[there], by_visitor[place]]), np.concatenate([ends.at[there], orders[1][row]])


def _path(carried: tuple[Ints, Ints], acts: tuple[Ints, Ints], closes: tuple[Ints, Ints], forget: int) -> _Path:
    cart, at = (np.concatenate(parts) for parts in zip(carried, acts, closes, strict=True))
    kind = np.repeat([0, 1, 2], [len(carried[0]), len(acts[0]), len(closes[0])])
    closing = (kind == 2).astype(np.int64)
    sort = order(cart, at, closing)
    cart, at, kind, closing = cart[sort], at[sort], kind[sort], closing[sort]
    begins = np.ones(len(cart), dtype=np.bool_)
    begins[1:] = (cart[1:] != cart[:-1]) | (at[1:] != at[:-1]) | (closing[1:] != closing[:-1])
    # Acts of one instant share a row; each act is told which one.
    row = np.cumsum(begins) - 1
    which = np.empty(len(sort), dtype=np.int64)
    which[sort] = row
    cart, at, closing, carried_over = cart[begins], at[begins], closing[begins] == 1, (kind == 0)[begins]
    same, gap = before(cart), np.diff(at, prepend=at[:1])
    fresh = ~same | np.append(False, closing[:-1])[: len(cart)] | (~closing & (gap >= forget))
    epoch = np.cumsum(fresh) - 1
    closed_at = np.full(int(epoch[-1]) + 1 if len(epoch) else 0, INF, dtype=np.int64)
    closed_at[epoch[closing]] = at[closing]
    left = np.cumsum(~closing) - 1
    of_act = left[which[len(carried[0]) : len(carried[0]) + len(acts[0])]]
    some = ~closing
    return _Path(cart[some], at[some], carried_over[some], epoch[some], closed_at, of_act)


def _items(held: tuple[Ints, Ints, Ints], acts: Steps, path: _Path) -> _Items:
    moved = np.flatnonzero(acts.move != 0)
    carried = np.flatnonzero(path.carried)
    begin = carried[np.searchsorted(path.cart[carried], held[0])]
    row = np.concatenate([begin, path.of_act[moved]])
    product = np.concatenate([held[1], acts.product[moved]])
    change = np.concatenate([held[2], (acts.move * acts.quantity)[moved]])
    names, number = np.unique(product, return_inverse=True)
    sort = order(path.epoch[row], number, np.arange(len(row)))
    row, number, change = row[sort], number[sort], change[sort]
    same = before(path.epoch[row]) & before(number)
    total, least = running_least(change, same)
    quantity = total - np.minimum(least, 0)
    at = path.at[row]
    follows = np.append(same[1:], False)[: len(row)]
    last = ~(follows & (np.append(at[1:], 0)[: len(row)] == at))
    row, number, at, quantity = row[last], number[last], at[last], quantity[last]
    same = before(path.epoch[row]) & before(number)
    follows = np.append(same[1:], False)[: len(row)]
    until = np.where(follows, np.append(at[1:], 0)[: len(row)], path.closed_at[path.epoch[row]])
    return _Items(row, names[number], at, quantity, until, ~follows)


def _while_active(items: _Items, path: _Path, active: int) -> Spans:
    """Spans of items while their cart is active; ``visitor`` is the row of ``path``."""
    same = before(path.epoch)
    fresh = ~same | (np.diff(path.at, prepend=path.at[:1]) > active)
    begins = np.flatnonzero(fresh)
    ends = path.at[np.append(begins[1:], len(fresh)) - 1] + active if len(begins) else path.at[:0]
    first = np.searchsorted(path.epoch[begins], path.epoch[items.row], side="left")
    after = np.searchsorted(path.epoch[begins], path.epoch[items.row], side="right")
    there = items.quantity > 0
    item, run = expanded(first, np.where(there, after - first, 0))
    start = np.maximum(items.at[item], path.at[begins][run])
    until = np.minimum(items.until[item], ends[run])
    some = start < until
    item = item[some]
    return Spans(items.row[item], items.product[item], start[some], until[some])


def _left(
    known: Ints,
    visitor: Ints,
    resting: tuple[Ints, Flags],
    rest: tuple[Ints, Ints, Ints],
    items: _Items,
    path: _Path,
    oldest: int,
) -> Carts:
    """Carts at the end: those at rest that are not too old, and of the others the last epoch that nothing closed."""
    last_at, kept = resting[0].copy(), resting[1].copy()
    newest = np.append(path.cart[1:] != path.cart[:-1], True)[: len(path.cart)]
    open_ = newest & (path.closed_at[path.epoch] == INF) & (path.at > oldest)
    is_open = np.zeros(len(path.closed_at), dtype=np.bool_)
    is_open[path.epoch[open_]] = True
    holds = items.newest & (items.quantity > 0) & is_open[path.epoch[items.row]]
    cart, product, quantity = path.cart[items.row[holds]], items.product[holds], items.quantity[holds]
    last_at[path.cart[open_]] = path.at[open_]
    kept[cart] = True
    # Both are sorted, and no cart is in both.
    place = np.searchsorted(rest[0], cart)
    columns = [np.insert(old, place, new) for old, new in zip(rest, (cart, product, quantity), strict=True)]
    frame = {"cart": known[columns[0]], "product": columns[1], "quantity": columns[2]}
    return Carts(
        pl.DataFrame({"cart": known[kept], "visitor": visitor[kept], "last_at": last_at[kept]}, schema=CARTS),
        pl.DataFrame(frame, schema=ITEMS),
    )


@dataclass(frozen=True)
class Changes:
    """Products at grid instants at which one more visitor has them, or one less; each pair may repeat."""

    grid: Ints
    product: Ints
    change: Ints


def changes(spans: Spans, first: int, last: int, step: int) -> Changes:
    """How the number of visitors changes from one grid instant to the next, in the order of instants.

    Args:
        spans: what ``fold`` gave; a visitor counts once however many spans there are.
        first: number of the first grid instant; before it there is nobody.
        last: of the last one.
        step: microseconds between them; instant n is ``n x step``.
    """
    begin, end = np.maximum(spans.after // step + 1, first), np.minimum(spans.until // step, last)
    some = begin <= end
    begin, end, product = begin[some], end[some], spans.product[some]
    visitor = np.unique(spans.visitor[some], return_inverse=True)[1]
    sort = order(product, visitor, begin)
    begin, end, product, visitor = begin[sort], end[sort], product[sort], visitor[sort]
    # The runs of one visitor are merged: a span that begins within what was reached before adds only what is beyond.
    same = before(product) & before(visitor)
    wide = last - first + 2
    group = np.cumsum(~same) * wide
    reached = np.maximum.accumulate(group + end - first) - group + first
    begin = np.where(same, np.maximum(begin, np.append(0, reached[:-1])[: len(begin)] + 1), begin)
    some = begin <= end
    begin, end, product = begin[some], end[some], product[some]
    over = end < last
    grid = np.concatenate([begin, end[over] + 1])
    change = np.repeat([1, -1], [len(begin), int(over.sum())])
    sort = order(grid, np.arange(len(grid)))
    return Changes(grid[sort], np.concatenate([product, product[over]])[sort], change[sort])
