"""Stages of a product's life on the grid; a stage is reached only from those that it may follow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.signals.arrays import Flags, Ints, Products, Table
from pipelines.signals.catalogue import Lifecycle, Signal
from pipelines.signals.demand import NEVER, WEEK_HOURS, column
from pipelines.signals.machine import UNDEFINED, Moves, among, codes, columns, move
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import DAY, HOUR

PREFIX = "lifecycle"
#: The state, days with demand (at most those that matter), and since when momentum has been cooling.
DEFAULTS = {**columns(PREFIX), "active_days": 0, "cooling_since": -1}


def step(products: Table, signal: Signal, hour: int, trending: Flags, cooling: Flags) -> Moves:
    """Move stages to a grid instant.

    Args:
        products: whose columns are read and changed.
        signal: the definition.
        hour: the grid instant.
        trending: momentum is in one of the states of a trend.
        cooling: momentum is cooling.
    """
    now = hour * HOUR
    since = products["cooling_since"]
    since[:] = np.where(cooling, np.where(since < 0, now, since), -1)
    defined = products["first_seen"] < now
    target = _target(products, signal, now, trending)
    return move(products, PREFIX, target, defined, now, signal)


def _target(products: Table, signal: Signal, now: int, trending: Flags) -> Ints:
    measure = signal.measure
    assert isinstance(measure, Lifecycle)  # noqa: S101
    places = {name: code for code, name in codes(signal).items()}
    state = products[f"{PREFIX}_state"]
    current = np.where(state == UNDEFINED, 0, state)
    first_seen, since = products["first_seen"], products["cooling_since"]
    age = np.where(first_seen == NEVER, 0, now - np.minimum(first_seen, now))
    newness = signal.param(measure.newness)
    wanted = {
        "discovering": (age > signal.param(measure.launch))
        & (products["ever_views"] >= signal.param(measure.discovery_views))
        & (products["ever_add_to_bags"] >= signal.param(measure.discovery_adds)),
        "trending_new": (age <= newness)
        & trending
        & (products[column("purchases", WEEK_HOURS)] >= signal.param(measure.trend_purchases)),
        "declining_new": (since >= 0) & (now - since >= signal.param(measure.decline)),
        "established": (age > newness) & (products["active_days"] >= signal.param(measure.established_days)),
    }
    target = current.copy()
    for stage, holds in wanted.items():
        legal = among(current, [places[name] for name in measure.follows.get(stage, ())])
        target = np.where(holds & legal, places[stage], target)
    return target


def settle(products: Products, signal: Signal, now: int) -> None:
    """Forget demand and days beyond those that matter."""
    measure = signal.measure
    assert isinstance(measure, Lifecycle)  # noqa: S101
    for name, bound in (
        ("ever_views", measure.discovery_views),
        ("ever_add_to_bags", measure.discovery_adds),
        ("active_days", measure.established_days),
    ):
        np.minimum(products[name], signal.param(bound), out=products[name])
    since = products["cooling_since"]
    since[:] = np.where(since >= 0, np.maximum(since, now - signal.param(measure.decline)), -1)


def readings(products: Products, signal: Signal, now: int) -> Iterator[Reading]:
    """Stage of every product that was seen; the value is its age in days, which does not grow once it cannot matter."""
    code = products[f"{PREFIX}_state"]
    age = np.where(code == UNDEFINED, 0, now - np.minimum(products["first_seen"], now))
    version = signal.definition_version
    yield shown(signal.id, version, products.order, code != UNDEFINED, age, DAY, code, codes(signal))
