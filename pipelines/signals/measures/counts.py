"""Counts, distinct visitors and rates over the windows that have no column in ``signal_windows``."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import Count, Rate, Signal
from pipelines.signals.demand import Hours, window_counts
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import HOUR
from pipelines.signals.windows import Visits, is_usual


def readings(products: Products, hours: Hours, signals: list[Signal], hour: int, visits: Visits) -> Iterator[Reading]:
    """Counts, their visitors and rates where they are not zero."""
    for signal in signals:
        measure, version = signal.measure, signal.definition_version
        for name, width in signal.windows.items():
            if is_usual(name):
                continue
            if isinstance(measure, Count):
                count = window_counts(products, hours, hour, measure.count, width)
                yield shown(f"{signal.id}_{name}", version, products.order, count != 0, count, 1)
                if measure.visitors:
                    who = visits[measure.count, width]
                    yield shown(f"{signal.id}_visitors_{name}", version, products.order, who != 0, who, 1)
            elif isinstance(measure, Rate):
                for act in measure.rate:
                    count = window_counts(products, hours, hour, act, width)
                    rate = f"{signal.id}_{act}_{name}"
                    yield shown(rate, version, products.order, count != 0, count * HOUR, width)
