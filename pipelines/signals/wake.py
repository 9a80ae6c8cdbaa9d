"""Which products must be looked at on a grid instant: those whose inputs moved, and those whose time has come.

Looking at more products than necessary changes nothing; one that is left out would keep a state too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipelines.signals.arrays import Ints, Products
from pipelines.signals.catalogue import Lifecycle, Momentum, Signal
from pipelines.signals.demand import NEVER
from pipelines.signals.measures import momentum
from pipelines.signals.units import HOUR


class Wake:
    """Alarms of one day.

    Args:
        products: as they are when the day begins.
        grid: hours of the day, in order.
        data_since: first hour of the tenant's data in microseconds.
        moving: the definition of momentum, whose baseline grows by the day.
        living: that of the life cycle, whose bounds are ages.
    """

    def __init__(
        self, products: Products, grid: Sequence[int], data_since: int, moving: Signal | None, living: Signal | None
    ) -> None:
        self._products, self._grid, self._since = products, grid, data_since
        self._moving, self._living = moving, living
        self._alarms: dict[int, list[Ints]] = {}
        everyone = np.arange(products.height)
        self._ages(everyone)
        if living is not None:
            self.cooling(everyone[products["cooling_since"] >= 0])

    def at(self, hour: int, touched: Iterable[Ints]) -> Ints:
        """Products to look at, rising: those that were touched, and those whose time has come."""
        if hour == self._grid[0]:
            return np.arange(self._products.height)
        flags = np.zeros(self._products.height, dtype=np.bool_)
        for index in (*touched, *self._alarms.get(hour, ())):
            flags[index] = True
        return np.flatnonzero(flags)

    def seen(self, fresh: Iterable[Ints]) -> None:
        """Set the alarms of products that were seen for the first time."""
        for index in fresh:
            if len(index):
                self._ages(index)

    def cooling(self, index: Ints) -> None:
        """Set the alarm of products that have been cooling since what their column says."""
        if self._living is not None and isinstance(self._living.measure, Lifecycle) and len(index):
            decline = self._living.param(self._living.measure.decline)
            self._set(index, self._products["cooling_since"][index] + decline)

    def _ages(self, index: Ints) -> None:
        """Alarms of bounds that count from when a product was first seen."""
        index = index[self._products["first_seen"][index] != NEVER]
        first_seen = self._products["first_seen"][index]
        self._set(index, first_seen)
        if self._living is not None and isinstance(self._living.measure, Lifecycle):
            for bound in (self._living.measure.launch, self._living.measure.newness):
                self._set(index, first_seen + self._living.param(bound))
        if self._moving is None or not isinstance(self._moving.measure, Momentum) or self._since == NEVER:
            return
        since = np.maximum(first_seen, self._since) // HOUR
        day = momentum.DAY_HOURS
        growing = (self._grid[0] - since) // day <= momentum.BASELINE_DAYS + 1
        for hour in self._grid:
            here = index[growing & ((hour - since) % day == 0)]
            if len(here):
                self._alarms.setdefault(hour, []).append(here)

    def _set(self, index: Ints, instants: Ints) -> None:
        """Look at products at the grid instants on both sides of an instant."""
        hours = instants // HOUR
        near = np.flatnonzero((hours >= self._grid[0] - 1) & (hours <= self._grid[-1]))
        for hour in np.unique(hours[near]).tolist():
            here = index[near[hours[near] == hour]]
            for each in (hour, hour + 1):
                self._alarms.setdefault(each, []).append(here)
