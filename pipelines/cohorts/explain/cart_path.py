"""One visitor's carts, instant after instant in plain Python: what they hold, when they were left, their worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Any

import polars as pl

from pipelines.calendar import days_between
from pipelines.cohorts.catalogue import CartRules
from pipelines.cohorts.explain.case import Case, instant
from pipelines.cohorts.explain.rows import Row

_EVER = 2**63 - 1
_STEP = ["event_id", "line", "cart_key", "step", "product_id", "quantity", "unit_price_minor", "currency"]


@dataclass
class Cart:
    """A cart of the visitor.

    Attributes:
        key: its key.
        quantities: product -> thousandths.
        prices: product -> price in minor units and currency.
        rows: steps since it was last empty or ordered.
        last: instant of its last step.
        due: instant at which it counts as left.
        left: instants at which it was found silent, the first one of now first.
        valuable: it is worth enough.
        scarce: a product of it was scarce when it was left.
        quiet_since: since when none is.
        low: one is.
        over: how it ended last.
        over_at: when.
    """

    key: str
    quantities: dict[str, int] = field(default_factory=dict)
    prices: dict[str, tuple[int, str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    last: int | None = None
    due: int | None = None
    left: list[int] = field(default_factory=list)
    valuable: bool = False
    scarce: bool = False
    quiet_since: int | None = None
    low: bool = False
    over: str = ""
    over_at: int = 0
    ending: Row | None = None

    @property
    def products(self) -> list[str]:
        """What is in it, sorted."""
        return sorted(product for product, quantity in self.quantities.items() if quantity > 0)

    def value(self, currency: str) -> int:
        """Minor units of what has a price in the currency; each line rounded half to even."""
        own = (each for each in self.products if self.prices.get(each, (0, ""))[1] == currency)
        return sum(round(Fraction(self.quantities[each] * self.prices[each][0], 1000)) for each in own)

    def end(self, how: str, at: int, row: Row | None = None) -> None:
        """What was begun by silence is over."""
        if self.products or self.left:
            self.over, self.over_at, self.ending = how, at, row
        self.left, self.due, self.quiet_since = [], None, None
        self.valuable = self.scarce = self.low = False

    def close(self, how: str, at: int, row: Row | None = None) -> None:
        """An epoch is over."""
        self.end(how, at, row)
        self.quantities, self.prices, self.rows, self.last = {}, {}, [], None


class Path:
    """The visitor's carts at an instant, which goes on."""

    def __init__(self, case: Case, rules: CartRules, bounds: Mapping[date, int]) -> None:
        """Read what the visitor did.

        Args:
            case: who and when.
            rules: settings of the cart cohorts.
            bounds: worth that is enough, by day; the floor on others.
        """
        self.rules, self.currency = rules, case.tenant.config.currency
        self.carts: dict[str, Cart] = {}
        self.steps = cart_steps(case)
        self.orders = _orders(case)
        products = {row["product_id"] for row in self.steps if row["product_id"]}
        ends = {}
        self.crossings = case.rows.crossings("scarcity_state", products)
        for row in self.crossings:
            ends[row["date"]] = case.start(row["date"] + timedelta(days=1))
            row["at_end"] = row["at"] >= ends[row["date"]]
        self._end = case.start(case.day.date + timedelta(days=1))
        first = instant(self.steps[0]["at"]).astimezone(case.tenant.zone).date() if self.steps else case.day.date
        self._bounds = {
            case.start(day): max(rules.floor, bounds.get(day, 0)) for day in days_between(first, case.day.date)
        }
        self.bound = rules.floor

    def walk(self) -> dict[str, Cart]:
        """Carts by key at the end of the day."""
        happened = [*self.steps, *self.orders, *self.crossings]
        self._todo = [*{row["at"] for row in happened} | set(self._bounds)]
        heapify(self._todo)
        before = None
        while self._todo and (at := heappop(self._todo)) < self._end:
            if at != before:
                self.bound = self._bounds.get(at, self.bound)
                self._instant(at)
            before = at
        return self.carts

    def _instant(self, at: int) -> None:
        for cart in self.carts.values():
            if cart.last is not None and at >= cart.last + self.rules.ttl:
                cart.close("it expired", cart.last + self.rules.ttl)
        silent = {cart.key for cart in self.carts.values() if cart.due == at}
        for cart in self._touched(at):
            cart.last = at
            heappush(self._todo, at + self.rules.ttl)
            if cart.products:
                cart.due = at + self.rules.silence
                heappush(self._todo, cart.due)
            else:
                cart.end("it was emptied", at)
        self._ordered(at)
        for cart in self.carts.values():
            if cart.products:
                self._look(cart, at, cart.key in silent)

    def _touched(self, at: int) -> list[Cart]:
        touched = {}
        for row in self.steps:
            if row["at"] != at or row["step"] == "order":
                continue
            cart = self.carts.setdefault(row["cart_key"], Cart(row["cart_key"]))
            if not cart.products:
                cart.rows = []
            touched[cart.key] = cart
            cart.rows.append(row)
            product = row["product_id"]
            if product is None:
                continue
            change = {"add": 1, "remove": -1}.get(row["step"], 0) * (row["quantity"] or 0)
            cart.quantities[product] = max(0, cart.quantities.get(product, 0) + change)
            if row["unit_price_minor"] is not None:
                cart.prices[product] = (row["unit_price_minor"], row["currency"])
        return list(touched.values())

    def _ordered(self, at: int) -> None:
        order = next((row for row in self.orders if row["at"] == at), None)
        own = {row["cart_key"]: row for row in self.steps if row["at"] == at and row["step"] == "order"}
        for cart in self.carts.values():
            row = order or own.get(cart.key)
            if row is not None:
                cart.close("of an order", at, row)

    def scarce_now(self, cart: Cart, at: int, *, after: bool) -> list[Row]:
        """The crossings that made products of a cart scarce, by what is known before an instant or after it."""
        found = []
        for product in cart.products:
            seen = [
                row
                for row in self.crossings
                if row["product_id"] == product and (row["at"] < at or (row["at"] == at and (after or row["at_end"])))
            ]
            if seen and seen[-1]["to_state"] in self.rules.states:
                found.append(seen[-1])
        return found

    def _look(self, cart: Cart, at: int, silent: bool) -> None:
        low_now = bool(self.scarce_now(cart, at, after=False))
        low_next = bool(self.scarce_now(cart, at, after=True))
        if cart.quiet_since is not None and at == cart.quiet_since + self.rules.quiet:
            cart.scarce = False
        if low_next:
            cart.quiet_since = None
        elif low_now or cart.low:
            cart.quiet_since = at
            heappush(self._todo, at + self.rules.quiet)
        cart.low = low_next
        if silent:
            cart.left.append(at)
            cart.scarce = cart.scarce or low_now
        if cart.left:
            value = cart.value(self.currency)
            if value >= self.bound:
                cart.valuable = True
            elif value * 100 < self.bound * self.rules.keep:
                cart.valuable = False


def cart_steps(case: Case) -> list[Row]:
    """The visitor's cart steps until the end of the day, in order."""
    seen = case.rows.lake.scan("cart_activity").filter(pl.col("occurred_at") < case.day.end)
    rows = seen.select(pl.col("occurred_at").dt.epoch("us").alias("at"), *_STEP).collect()
    return [_row(each, "cart_activity") for each in rows.sort("at", "event_id", "line").to_dicts()]


def _orders(case: Case) -> list[Row]:
    seen = case.rows.lake.scan("visitor_orders").filter(pl.col("ordered_at") < case.day.end)
    rows = seen.select(pl.col("ordered_at").dt.epoch("us").alias("at"), "order_id").collect()
    return [_row(each, "order") for each in rows.sort("at", "order_id").to_dicts()]


def _row(found: dict[str, Any], stream: str) -> Row:
    return {**found, "stream": stream, "since": found["at"], "until": _EVER, "times": 1}
