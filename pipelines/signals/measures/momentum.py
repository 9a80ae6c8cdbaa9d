"""The state machine of momentum: enter and exit bounds, minimum counts, cooldown. Integers only.

With x views in 24 h and s views in the d days before (at most 28), it is (x + 1) / (s/d + 1) = d(x + 1) / (s + d).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.signals.arrays import Flags, Ints, Products, Table
from pipelines.signals.catalogue import Bound, Signal
from pipelines.signals.demand import NEVER, column
from pipelines.signals.machine import Moves, columns, move
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import HOUR

DAY_HOURS = 24
BASELINE_DAYS = 28
RECENT = column("views", DAY_HOURS)
HISTORY = column("views", DAY_HOURS * (BASELINE_DAYS + 1))
PREFIX = "momentum"
#: Columns of ``Products`` that momentum carries from hour to hour.
DEFAULTS = columns(PREFIX)


@dataclass(frozen=True)
class Level:
    """Numerator and denominator by product where momentum is defined (denominator 0 elsewhere)."""

    count: Ints
    numerator: Ints
    denominator: Ints
    excess: Ints

    @property
    def defined(self) -> Flags:
        """Enough days of data."""
        return self.denominator > 0


def level(products: Table, hour: int, data_since: int, history: int) -> Level:
    """Momentum at a grid instant, by product.

    Args:
        products: running sums over 24 h and 29 d, and ``first_seen`` (microseconds).
        hour: the grid instant in hours since the epoch.
        data_since: first hour of the tenant's data in microseconds; silence before it is not data.
        history: whole days of data that are needed.
    """
    count = products[RECENT]
    before = products[HISTORY] - count
    since = np.maximum(products["first_seen"], data_since)
    days = np.where(since == NEVER, 0, (hour - DAY_HOURS - since // HOUR) // DAY_HOURS)
    days = np.where(days >= history, np.minimum(days, BASELINE_DAYS), 0)
    excess = count * days - before
    return Level(count, days * (count + 1), np.where(days > 0, before + days, 0), excess)


def codes(signal: Signal) -> dict[int, str]:
    """State names by code: 0 is normal, above it the hotter the higher, below it the colder the lower."""
    hot = [bound for bound in signal.states if bound.at_least]
    cold = [bound for bound in signal.states if bound.below]
    above = {len(hot) - place: bound.state for place, bound in enumerate(hot)}
    below = {place - len(cold): bound.state for place, bound in enumerate(cold)}
    return {0: signal.normal or "normal", **above, **below}


def step(products: Table, signal: Signal, hour: int, now: Level) -> Moves:
    """Move states to a grid instant at which momentum is ``now``."""
    state = products[f"{PREFIX}_state"]
    target = _target(now, signal, np.where(state == DEFAULTS[f"{PREFIX}_state"], 0, state))
    return move(products, PREFIX, target, now.defined, hour * HOUR, signal)


def readings(products: Products, signal: Signal, now: Level) -> Iterator[Reading]:
    """Momentum where it is defined and there is or was a view."""
    code = products[f"{PREFIX}_state"]
    silent = (now.count == 0) & (now.excess == 0) & (code == 0)
    where = now.defined & ~silent
    version = signal.definition_version
    yield shown(signal.id, version, products.order, where, now.numerator, now.denominator, code, codes(signal))


def _target(now: Level, signal: Signal, current: Ints) -> Ints:
    """Where the state belongs: the hottest state that is entered or kept, else the coldest, else normal."""
    names = {name: code for code, name in codes(signal).items()}
    target = np.zeros_like(current)
    for bound in reversed(signal.states):
        code = names[bound.state]
        if bound.below and bound.until_at_least:
            entered = now.numerator * 1000 < signal.param(bound.below) * now.denominator
            kept = (current <= code) & (now.numerator * 1000 < signal.param(bound.until_at_least) * now.denominator)
            target = np.where(entered | kept, code, target)
    for bound in reversed(signal.states):
        code = names[bound.state]
        if bound.at_least and bound.until_below:
            entered = now.numerator * 1000 >= signal.param(bound.at_least) * now.denominator
            kept = (current >= code) & (now.numerator * 1000 >= signal.param(bound.until_below) * now.denominator)
            target = np.where((entered | kept) & _enough(now, signal, bound), code, target)
    return target


def _enough(now: Level, signal: Signal, bound: Bound) -> Flags:
    enough = np.ones(len(now.count), dtype=np.bool_)
    if bound.count:
        enough &= now.count >= signal.param(bound.count)
    if bound.z:
        # (x - s/d) / sqrt(s/d + 1) >= z, squared and multiplied by d twice, so that it stays whole.
        days = np.where(now.defined, now.numerator // (now.count + 1), 0)
        enough &= (now.excess >= 0) & (now.excess**2 >= signal.param(bound.z) ** 2 * now.denominator * days)
    return enough


def bounds(signal: Signal, moves: Moves) -> tuple[Ints, Ints]:
    """The bound that each move crossed, as a ratio: of the state that was entered, or of the one that was left."""
    origin = np.where(moves.origin == DEFAULTS[f"{PREFIX}_state"], 0, moves.origin)
    top, bottom = np.zeros(len(origin), dtype=np.int64), np.zeros(len(origin), dtype=np.int64)
    for before, after in set(zip(origin.tolist(), moves.target.tolist(), strict=True)):
        reference = _bound(signal, before, after)
        if reference is not None:
            here = (origin == before) & (moves.target == after)
            top[here], bottom[here] = signal.param(reference), 1000
    return top, bottom


def _bound(signal: Signal, from_code: int, to_code: int) -> str | None:
    names = codes(signal)
    hotter = to_code > from_code
    # Moving away from normal enters a state at its bound; moving towards normal leaves one at its exit bound.
    inward = abs(to_code) < abs(from_code)
    wanted = names[from_code if inward else to_code]
    bound = next((bound for bound in signal.states if bound.state == wanted), None)
    if bound is None:
        return None
    if inward:
        return bound.until_at_least if hotter else bound.until_below
    return bound.at_least if hotter else bound.below
