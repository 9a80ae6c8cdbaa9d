"""Engagement: events of a tenant day against the daily mean of the visitor's own days before it.

With x events on the day and s on the d days before, it is (x + 1) / (s/d + 1) = d(x + 1) / (s + d).
"""

from __future__ import annotations

import numpy as np

from pipelines.cohorts.daily.space import Ints, Space
from pipelines.signals.catalogue import Signal
from pipelines.signals.units import DAY
from pipelines.signals.visitor_measures import Engagement
from pipelines.visitor_signals.resolve import Resolved
from pipelines.visitor_signals.rows import Reading, reading


def column(signal: Signal) -> str:
    """Column of visitors with the events of the baseline that ends with the last day."""
    return f"{signal.id}.events"


def baseline(signal: Signal) -> int:
    """Days of the baseline."""
    assert isinstance(signal.measure, Engagement)  # noqa: S101
    return signal.param(signal.measure.baseline) // DAY


def measured(found: Resolved, space: Space, today: Ints, known_days: int) -> Reading:
    """The reading of a day, before ``note`` takes it into the baseline.

    Args:
        found: the signal.
        space: visitors; its column has the events of the days before.
        today: events of the day by number of the visitor.
        known_days: days of the tenant's data before the day.
    """
    signal = found.signal
    assert isinstance(signal.measure, Engagement)  # noqa: S101
    before = space[column(signal)]
    days = min(known_days, baseline(signal))
    enough = days >= max(1, signal.param(signal.measure.history))
    where = (today + before > 0) & enough
    return reading(signal.id, found.version, "visitor", where, days * (today + 1), before + days)


def note(signal: Signal, space: Space, today: Ints, leaving: tuple[Ints, Ints]) -> None:
    """Take a day into the baseline.

    Args:
        signal: the definition.
        space: visitors.
        today: events by number.
        leaving: number and events of the visitors of the day that is not in the next day's baseline.
    """
    events = space[column(signal)]
    events += today
    np.subtract.at(events, *leaving)
