"""Counts, distinct visitors and rates over the windows that end at the last grid instant of a day."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import Count, Rate, Signal
from pipelines.signals.demand import Hours, window_counts
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import HOUR
from pipelines.signals.visitors import Visitors


def readings(products: Products, hours: Hours, signals: list[Signal], hour: int) -> Iterator[Reading]:
    """Counts and rates where they are not zero."""
    for signal in signals:
        measure, version = signal.measure, signal.definition_version
        for name, width in signal.windows.items():
            if isinstance(measure, Count):
                count = window_counts(products, hours, hour, measure.count, width)
                yield shown(f"{signal.id}_{name}", version, products.order, count != 0, count, 1)
            elif isinstance(measure, Rate):
                for act in measure.rate:
                    count = window_counts(products, hours, hour, act, width)
                    rate = f"{signal.id}_{act}_{name}"
                    yield shown(rate, version, products.order, count != 0, count * HOUR, width)


def visitor_readings(products: Products, visitors: Visitors, signals: list[Signal], hour: int) -> Iterator[Reading]:
    """Distinct visitors where there are any."""
    for signal in signals:
        measure = signal.measure
        if not isinstance(measure, Count) or not measure.visitors:
            continue
        now = hour * HOUR
        pairs = visitors.advance(measure.count, now, now - max(signal.windows.values()))
        for name, width in signal.windows.items():
            count = pairs.count(now - width, products.height)
            yield shown(f"{signal.id}_visitors_{name}", signal.definition_version, products.order, count != 0, count, 1)
