"""Steps and checks of this stage; what they compute is in ``run``."""

from __future__ import annotations

from pipelines.step import Step
from pipelines.visitor_signals.checks import CHECKS
from pipelines.visitor_signals.run import INPUTS, OUTPUTS, STEP, run

STEPS: tuple[Step, ...] = (
    Step(
        name=STEP,
        group="signals",
        outputs=OUTPUTS,
        inputs=INPUTS,
        run=run,
        carries_state=True,
        description="Intent, stage, affinity and loyalty of visitors and customers: values of a day, every crossing.",
    ),
)

__all__ = ["CHECKS", "STEPS"]
