"""Names of the states of a visitor signal, by the codes that are carried from day to day."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.signals.visitor_measures import Cells, Journey, Strongest
from pipelines.visitor_signals import bands, basket, journey, loyalty
from pipelines.visitor_signals.resolve import Resolved


def names(found: Resolved) -> Mapping[int, str]:
    """By code; empty for a signal without states."""
    measure = found.signal.measure
    if isinstance(measure, Cells):
        return loyalty.CELLS
    if isinstance(measure, Journey):
        return journey.names(found.signal)
    if isinstance(measure, Strongest):
        return basket.codes(found.signal)
    return bands.codes(found.signal) if found.signal.states else {}
