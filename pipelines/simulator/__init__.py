"""An invented retailer: entity files as a shop would send them, and the true answers to check the pipeline with."""

from __future__ import annotations

from pipelines.simulator.disorder import Disorder
from pipelines.simulator.settings import SimulationConfig
from pipelines.simulator.simulate import Simulation, simulate
from pipelines.simulator.write import write

__all__ = ["Disorder", "Simulation", "SimulationConfig", "simulate", "write"]
