"""The true cart abandonments: a plain walk over each visitor's cart steps and orders, one step after the other.

Deliberately without data frames in the walk and without any code of the pipeline: it is what the pipeline is checked
against. A cart is abandoned when it holds something and nothing at all happens to it, and its visitor orders nothing,
from its last activity t0 up to and including t0 + 30 minutes. Looking into an abandoned cart does not end the
abandonment but starts its seven days again; an order of the visitor, emptying the cart, or the seven days end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
    end: int
    held: dict[str, tuple[int, int]] = field(default_factory=dict)
    t0: int | None = None
    waiting: bool = False
    current: Abandonment | None = None
    done: list[Abandonment] = field(default_factory=list)

    def close(self, t: int, why: str) -> None:
        if self.current is not None:
            now = self.current
            self.done.append(Abandonment(now.t0, now.entered_at, now.value_minor, now.products, t, why))
            self.current = None

    def pass_time(self, t: int) -> None:
        """What silence alone brings about strictly before ``t``."""
        if self.t0 is None:
            return
        if self.waiting and self.t0 + SILENCE < t:
            self.waiting = False
            if self.current is None:
                self.current = Abandonment(self.t0, self.t0 + SILENCE, self.value(), self.products())
        if self.current is not None and self.t0 + LIFE < t:
            self.close(self.t0 + LIFE, "expiry")

    def value(self) -> int:
        """Quantity times the price at the last touch, half-even for each product."""
        return sum(_half_even(quantity * price) for quantity, price in self.held.values())

    def products(self) -> tuple[str, ...]:
        return tuple(sorted(self.held))

    def take(self, step: Step) -> None:
        """One step of this cart."""
        self.pass_time(step.t)
        if step.kind == "order":
            self.held.clear()
            self.ordered(step.t)
            return
        if step.product is not None and step.kind in ("add", "remove"):
            sign = 1 if step.kind == "add" else -1
            quantity = max(0, self.held.get(step.product, (0, 0))[0] + sign * step.quantity)
            self.held[step.product] = (quantity, step.price)
            if quantity == 0:
                del self.held[step.product]
        self.t0 = step.t
        self.waiting = bool(self.held)
        if not self.held:
            self.close(step.t, "cart_emptied")

    def ordered(self, t: int) -> None:
        """An order of the visitor, of this cart or another."""
        self.pass_time(t)
        self.close(t, "order")
        self.waiting = False


def walk(steps: Sequence[Step], orders: Iterable[int], end: int) -> tuple[list[Abandonment], OpenCart | None]:
    """Abandonments of one cart, in order, and what it holds at the end.

    Args:
        steps: steps of the cart in order of time.
        orders: instants of the orders of its visitor, of this cart or any other.
        end: the instant of the answer; what happens at it is not seen yet.
    """
    state = _Walk(end)
    # An order at the instant of another step comes first: it stands on the closed bound of that step's half hour.
    merged = sorted([(t, 0, number) for number, t in enumerate(orders)] + [(s.t, 1, n) for n, s in enumerate(steps)])
    for t, kind, number in merged:
        if t >= end:
            break
        if kind == 0:
            state.ordered(t)
        else:
            state.take(steps[number])
    state.pass_time(end)
    left = OpenCart(state.t0, state.value(), state.products()) if state.held and state.t0 is not None else None
    return state.done + ([state.current] if state.current else []), left


def _half_even(thousandths: int) -> int:
    whole, rest = divmod(thousandths, 1_000)
    return whole + (1 if rest > 500 or (rest == 500 and whole % 2) else 0)
