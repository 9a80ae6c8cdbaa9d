"""A naive simulation of the cart cohorts: one instant after another, plain Python, written from the rules alone."""

from __future__ import annotations

import bisect
import json
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal


@dataclass
class Settings:
    silence: int
    ttl: int
    floor: int
    percentile: int
    partitions: int
    keep: int
    quiet: int
    currency: str = "GBP"


@dataclass
class Cart:
    visitor: str
    key: str
    quantities: dict = field(default_factory=dict)
    prices: dict = field(default_factory=dict)
    last: int | None = None
    due: int | None = None
    abandoned: bool = False
    valuable: bool = False
    scarce: bool = False
    quiet_since: int | None = None
    was_low: bool = False

    def clear(self):
        self.abandoned = self.valuable = self.scarce = False
        self.due = self.quiet_since = None
        self.was_low = False

    def reset(self):
        self.clear()
        self.quantities, self.prices, self.last = {}, {}, None

    @property
    def products(self):
        return sorted(p for p, q in self.quantities.items() if q > 0)

    def line(self, product):
        price, _ = self.prices.get(product, (0, None))
        return int((Decimal(self.quantities[product]) * price / 1000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))

    def value(self, currency):
        return sum(self.line(p) for p in self.products if self.prices.get(p, (0, None))[1] == currency)

    def total(self):
        currencies = {self.prices[p][1] for p in self.products if p in self.prices}
        return (sum(self.line(p) for p in self.products), currencies.pop()) if len(currencies) == 1 else (None, None)


class Simulation:
    """Steps: (at, event_id, line, visitor, cart, step, product, quantity, price, currency); orders: (at, visitor);
    crossings: (at, product, state, at_day_end); days: [(start, end)]."""

    def __init__(self, steps, orders, crossings, days, settings):
        self.steps, self.orders, self.crossings, self.days, self.s = steps, orders, crossings, days, settings
        self.carts = {}
        self.transitions = []
        self.member = set()
        self.entered = {}
        self.ends = []
        self.history = []
        self.bound = settings.floor

    def run(self):
        todo = {at for at, *_ in self.steps} | {at for at, _ in self.orders} | {c[0] for c in self.crossings}
        todo |= {start for start, _ in self.days} | {self.days[-1][1]}
        self.todo = sorted(todo)
        begins = {start for start, _ in self.days}
        while self.todo:
            at = self.todo.pop(0)
            if at in begins or at == self.days[-1][1]:
                if at != self.days[0][0]:
                    self.close_day()
                if at == self.days[-1][1]:
                    break
                self.bound = self.new_bound()
            self.instant(at)
        return self

    def later(self, at):
        place = bisect.bisect_left(self.todo, at)
        if place == len(self.todo) or self.todo[place] != at:
            self.todo.insert(place, at)

    def low(self, product, at, after):
        state = None
        for when, name, to, day_end in self.crossings:
            seen = when < at or (when == at and (after or day_end))
            if name == product and seen:
                state = to
        return state in ("low", "critical")

    def instant(self, at):
        for cart in self.carts.values():
            if cart.last is not None and at >= cart.last + self.s.ttl:
                cart.reset()
        due = [cart for cart in self.carts.values() if cart.due == at]
        touched = {}
        for row in sorted(r for r in self.steps if r[0] == at and r[5] != "order"):
            _, _, _, visitor, key, step, product, quantity, price, currency = row
            cart = self.carts.setdefault((visitor, key), Cart(visitor, key))
            touched[(visitor, key)] = cart
            if product is None:
                continue
            before = cart.quantities.get(product, 0)
            change = {"add": quantity, "remove": -quantity}.get(step, 0)
            cart.quantities[product] = max(0, before + change)
            if price is not None:
                cart.prices[product] = (price, currency)
        for cart in touched.values():
            cart.last = at
            self.later(at + self.s.ttl)
            if cart.products:
                cart.due = at + self.s.silence
                self.later(cart.due)
            else:
                cart.clear()
        self.close(at)
        for cart in self.carts.values():
            self.evaluate(cart, at, silent=any(cart is each for each in due))
        self.compare(at)

    def close(self, at):
        closed = {visitor for when, visitor in self.orders if when == at}
        closed_carts = {(r[3], r[4]) for r in self.steps if r[0] == at and r[5] == "order"}
        for key, cart in self.carts.items():
            if cart.visitor in closed or key in closed_carts:
                cart.reset()

    def evaluate(self, cart, at, silent):
        if not cart.products:
            return
        low_now = any(self.low(p, at, after=False) for p in cart.products)
        low_next = any(self.low(p, at, after=True) for p in cart.products)
        if cart.quiet_since is not None and at == cart.quiet_since + self.s.quiet:
            cart.scarce = False
        if low_next:
            cart.quiet_since = None
        elif low_now or cart.was_low:
            cart.quiet_since = at
            self.later(at + self.s.quiet)
        cart.was_low = low_next
        if silent:
            cart.abandoned = True
            if low_now:
                cart.scarce = True
        if cart.abandoned:
            value = cart.value(self.s.currency)
            if value >= self.bound:
                cart.valuable = True
            elif value * 100 < self.bound * self.s.keep:
                cart.valuable = False

    def now(self):
        found = {}
        for cart in self.carts.values():
            for cohort, inside in (
                ("cart_abandoner", cart.abandoned),
                ("high_value_cart_abandoner", cart.valuable),
                ("cart_abandoned_low_stock", cart.scarce),
            ):
                if inside:
                    found.setdefault((cohort, cart.visitor), []).append(cart)
        return found

    def compare(self, at):
        found = set(self.now())
        for key in found - self.member:
            self.transitions.append((*key, "entered", at))
            self.entered[key] = at
        for key in self.member - found:
            self.transitions.append((*key, "exited", at))
        self.member = found

    def close_day(self):
        rows = {}
        for key, carts in self.now().items():
            newest = sorted(carts, key=lambda cart: (-cart.last, cart.key))[0]
            total, currency = newest.total()
            ids = json.dumps(newest.products, separators=(",", ":"))
            rows[key] = (self.entered[key], total, currency, ids)
        self.ends.append(rows)
        totals = [cart.total() for cart in self.carts.values() if cart.products]
        self.history.append([total for total, currency in totals if currency == self.s.currency])

    def new_bound(self):
        pooled = sorted(value for day in self.history[-self.s.partitions :] for value in day)
        if not pooled:
            return self.s.floor
        rank = -(-len(pooled) * self.s.percentile // 100)
        return max(self.s.floor, pooled[max(rank, 1) - 1])
