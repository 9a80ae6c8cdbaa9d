"""Steps and checks of this stage; what they compute is in ``run``."""

from __future__ import annotations

from pipelines.signals.checks import CHECKS
from pipelines.signals.run import OUTPUTS, STEP, advance, lookback, run
from pipelines.step import Step

STEPS: tuple[Step, ...] = (
    Step(
        name=STEP,
        group="signals",
        outputs=OUTPUTS,
        inputs=(
            "product_hourly",
            "product_daily",
            "stock_levels",
            "order_lines",
            "cart_activity",
            "visitor_orders",
            "visitor_acts",
            "visitor_purchases",
            "products",
            "products_history",
            "groups",
            "outlets",
        ),
        run=run,
        carries_state=True,
        advance=advance,
        lookback=lookback,
        code_version="4",
        description="Demand, stock, carts, ranks, prices and states of products: values of a day, and every crossing.",
    ),
)

__all__ = ["CHECKS", "STEPS"]
