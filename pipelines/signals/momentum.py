"""The state machine of momentum: enter and exit bounds, minimum counts, cooldown. Integers only.

With x views in 24 h and s views in the d days before (at most 28), it is (x + 1) / (s/d + 1) = d(x + 1) / (s + d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.catalogue import Bound, Momentum, Signal
from pipelines.signals.demand import HISTORY_HOURS, NEVER, RECENT_HOURS, column
from pipelines.signals.units import HOUR

DAY_HOURS = 24
BASELINE_DAYS = 28
UNDEFINED = -128
#: Columns of ``Products`` that momentum carries from hour to hour.
DEFAULTS = {"momentum_state": UNDEFINED, "momentum_changed": -1, "momentum_held": UNDEFINED}


@dataclass(frozen=True)
class Reading:
    """Numerator and denominator by product where momentum is defined (denominator 0 elsewhere)."""

    count: Ints
    numerator: Ints
    denominator: Ints
    excess: Ints

    @property
    def defined(self) -> Flags:
        """Enough days of data."""
        return self.denominator > 0


def reading(products: Products, hour: int, data_since: int, history: int) -> Reading:
    """Momentum at a grid instant, by product.

    Args:
        products: running sums over 24 h and 29 d, and ``first_seen`` (microseconds).
        hour: the grid instant in hours since the epoch.
        data_since: first hour of the tenant's data in microseconds; silence before it is not data.
        history: whole days of data that are needed.
    """
    count = products[column(RECENT_HOURS)]
    before = products[column(HISTORY_HOURS)] - count
    since = np.maximum(products["first_seen"], data_since)
    days = np.where(since == NEVER, 0, (hour - DAY_HOURS - since // HOUR) // DAY_HOURS)
    days = np.where(days >= history, np.minimum(days, BASELINE_DAYS), 0)
    excess = count * days - before
    return Reading(count, days * (count + 1), np.where(days > 0, before + days, 0), excess)


def codes(signal: Signal) -> dict[int, str]:
    """State names by code: 0 is normal, above it the hotter the higher, below it the colder the lower."""
    hot = [bound for bound in signal.states if bound.at_least]
    cold = [bound for bound in signal.states if bound.below]
    above = {len(hot) - place: bound.state for place, bound in enumerate(hot)}
    below = {place - len(cold): bound.state for place, bound in enumerate(cold)}
    return {0: signal.normal or "normal", **above, **below}


def step(products: Products, signal: Signal, hour: int, data_since: int) -> pl.DataFrame:
    """Move states to a grid instant.

    Returns:
        One row per crossing, suppressed ones included: ``index``, ``from_code``, ``to_code`` (Int64, ``from_code`` may
        be ``UNDEFINED``), ``numerator``, ``denominator``, ``suppressed`` Boolean.
    """
    assert isinstance(signal.measure, Momentum)  # noqa: S101
    now = reading(products, hour, data_since, signal.param(signal.measure.history))
    state, changed, held = (products[name] for name in DEFAULTS)
    current = np.where(state == UNDEFINED, 0, state)
    target = np.where(now.defined, _target(now, signal, current), current)
    cooldown = signal.param(signal.cooldown) if signal.cooldown else 0
    cooling = (changed >= 0) & (hour * HOUR - changed < cooldown)
    moves = now.defined & (target != current)
    suppressed = moves & cooling & (held != target)
    accepted = moves & ~cooling
    rows = np.flatnonzero(suppressed | accepted)
    crossings = pl.DataFrame(
        {
            "index": rows,
            "from_code": state[rows],
            "to_code": target[rows],
            "numerator": now.numerator[rows],
            "denominator": now.denominator[rows],
            "suppressed": suppressed[rows],
        }
    )
    held[:] = np.where(moves & cooling, target, UNDEFINED)
    changed[accepted] = hour * HOUR
    state[:] = np.where(accepted, target, np.where(now.defined, current, state))
    return crossings


def _target(now: Reading, signal: Signal, current: Ints) -> Ints:
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


def _enough(now: Reading, signal: Signal, bound: Bound) -> Flags:
    enough = np.ones(len(now.count), dtype=np.bool_)
    if bound.count:
        enough &= now.count >= signal.param(bound.count)
    if bound.z:
        # (x - s/d) / sqrt(s/d + 1) >= z, squared and multiplied by d twice, so that it stays whole.
        days = np.where(now.defined, now.numerator // (now.count + 1), 0)
        enough &= (now.excess >= 0) & (now.excess**2 >= signal.param(bound.z) ** 2 * now.denominator * days)
    return enough


def threshold(signal: Signal, from_code: int, to_code: int) -> float | None:
    """The bound that was crossed, as one division: of the state that was entered, or of the one that was left."""
    names = codes(signal)
    hotter = to_code > from_code
    # Moving away from normal enters a state at its bound; moving towards normal leaves one at its exit bound.
    inward = abs(to_code) < abs(from_code)
    wanted = names[from_code if inward else to_code]
    bound = next((bound for bound in signal.states if bound.state == wanted), None)
    if bound is None:
        return None
    if inward:
        reference = bound.until_at_least if hotter else bound.until_below
    else:
        reference = bound.at_least if hotter else bound.below
    return signal.param(reference) / 1000 if reference else None
