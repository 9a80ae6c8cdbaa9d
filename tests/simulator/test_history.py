from datetime import date
from zoneinfo import ZoneInfo

import pytest

from pipelines.errors import UsageError
from pipelines.simulator import SimulationConfig, simulate

FIRST, LAST = date(2025, 3, 1), date(2025, 3, 3)


def days_before(history_days: int) -> int:
    config = SimulationConfig(ZoneInfo("UTC"), FIRST, LAST, visitors=60, seed=2, history_days=history_days)
    oldest = simulate(config).entities["transactions"]["occurred_at"].min()
    return (FIRST - oldest.date()).days


def test_orders_reach_back_as_far_as_asked():
    assert days_before(0) <= 0
    assert 20 <= days_before(30) <= 30
    assert 200 <= days_before(400) <= 400


def test_a_negative_history_is_refused():
    with pytest.raises(UsageError, match="give 0 or more"):
        SimulationConfig(ZoneInfo("UTC"), FIRST, LAST, visitors=60, history_days=-1)
