"""One small simulated retailer for the tests of this folder, across the night on which London's clocks change."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from pipelines.simulator import Simulation, SimulationConfig, simulate

CONFIG = SimulationConfig(ZoneInfo("Europe/London"), date(2025, 3, 15), date(2025, 4, 3), visitors=1_500, seed=11)


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return simulate(CONFIG)
