"""Steps and checks of this stage; what they compute is in ``run``."""

from __future__ import annotations

from pipelines.signals.checks import CHECKS
from pipelines.signals.run import STEP, advance, lookback, run
from pipelines.step import Step

STEPS: tuple[Step, ...] = (
    Step(
        name=STEP,
        group="signals",
        outputs=("signal_snapshots", "signal_crossings"),
        inputs=("product_hourly", "product_daily", "stock_levels", "products", "groups", "outlets"),
        run=run,
        carries_state=True,
        advance=advance,
        lookback=lookback,
        code_version="2",
        description="Views, velocity, momentum, runway and scarcity of products at the end of each day.",
    ),
)

__all__ = ["CHECKS", "STEPS"]
