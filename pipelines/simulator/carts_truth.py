"""The true cart abandonments: a plain walk over each visitor's cart steps and orders, one instant after the other.

Deliberately without data frames in the walk and without any code of the pipeline: it is what the pipeline is checked
against. A cart is abandoned when it holds something and half an hour has passed since its last activity t0, without an
order of its visitor up to and including that instant. An order of the visitor, emptying the cart, or seven days without
activity end it; an order or the seven days end the cart itself too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pipelines.simulator.settings import DAY, MINUTE

SILENCE = 30 * MINUTE
LIFE = 7 * DAY


@dataclass(frozen=True)
class Step:
    """One step of a cart: add, remove, view, checkout, or order; quantity in thousandths, price in minor units."""

    t: int
    kind: str
    product: str | None = None
    quantity: int = 0
    price: int = 0


@dataclass(frozen=True)
class Abandonment:
    """One abandonment; ``ended_at`` and ``ended_by`` (order, cart_emptied, expiry) are null while it lasts."""

    t0: int
    entered_at: int
    value_minor: int
    products: tuple[str, ...]
    ended_at: int | None = None
    ended_by: str | None = None


@dataclass(frozen=True)
class OpenCart:
    """A cart that holds something at the end."""

    t0: int
    value_minor: int
    products: tuple[str, ...]


@dataclass
class _Walk:
    held: dict[str, tuple[int, int]] = field(default_factory=dict)
    t0: int | None = None
    waiting: bool = False
    current: Abandonment | None = None
    done: list[Abandonment] = field(default_factory=list)

    def value(self) -> int:
        """Quantity times the price at the last touch, half-even for each product."""
        return sum(_half_even(quantity * price) for quantity, price in self.held.values())

    def products(self) -> tuple[str, ...]:
        return tuple(sorted(self.held))

    def open(self, t0: int) -> None:
        self.current = self.current or Abandonment(t0, t0 + SILENCE, self.value(), self.products())

    def close(self, t: int, why: str) -> None:
        if self.current is not None:
            self.done.append(replace(self.current, ended_at=t, ended_by=why))
            self.current = None

    def forget(self, t: int, why: str) -> None:
        """The cart's life is over; what comes later begins with nothing."""
        self.close(t, why)
        self.held.clear()
        self.t0, self.waiting = None, False

    def silence(self, before: int, expired_by: int) -> None:
        """What silence alone brings about: an entry before one instant, an expiry up to and including another."""
        if self.t0 is None:
            return
        if self.waiting and self.t0 + SILENCE < before:
            self.waiting = False
            self.open(self.t0)
        if self.t0 + LIFE <= expired_by:
            self.forget(self.t0 + LIFE, "expiry")

    def touch(self, step: Step) -> None:
        if step.product is not None and step.kind in ("add", "remove"):
            sign = 1 if step.kind == "add" else -1
            quantity = max(0, self.held.pop(step.product, (0, 0))[0] + sign * step.quantity)
            if quantity:
                self.held[step.product] = (quantity, step.price)
        self.t0 = step.t

    def instant(self, t: int, steps: Sequence[Step], ordered: bool) -> None:
        """Everything that happens to the cart and its visitor at one instant: steps first, then orders."""
        self.silence(t, t)
        due = self.t0 if self.waiting and self.t0 is not None and self.t0 + SILENCE == t else None
        touches = [step for step in steps if step.kind != "order"]
        for step in touches:
            self.touch(step)
        if touches:
            self.waiting = bool(self.held)
        if ordered or len(touches) < len(steps):
            self.forget(t, "order")
        elif not self.held:
            self.close(t, "cart_emptied")
        elif due is not None:
            self.open(due)


def walk(steps: Sequence[Step], orders: Iterable[int], end: int) -> tuple[list[Abandonment], OpenCart | None]:
    """Abandonments of one cart, in order, and what it holds at the end.

    Args:
        steps: steps of the cart in order of time.
        orders: instants of the orders of its visitor, of this cart or any other.
        end: the instant of the answer; what happens at it is not seen yet.
    """
    state = _Walk()
    ordered = {t for t in orders if t < end}
    happened: dict[int, list[Step]] = {t: [] for t in ordered}
    for step in steps:
        if step.t < end:
            happened.setdefault(step.t, []).append(step)
    for t in sorted(happened):
        state.instant(t, happened[t], t in ordered)
    state.silence(end, end - 1)
    left = OpenCart(state.t0, state.value(), state.products()) if state.held and state.t0 is not None else None
    return state.done + ([state.current] if state.current else []), left


def _half_even(thousandths: int) -> int:
    whole, rest = divmod(thousandths, 1_000)
    return whole + (1 if rest > 500 or (rest == 500 and whole % 2) else 0)
