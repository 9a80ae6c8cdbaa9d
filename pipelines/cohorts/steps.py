"""Steps and checks of this stage; what they compute is in ``run``."""

from __future__ import annotations

from pipelines.cohorts.checks import CHECKS
from pipelines.cohorts.run import run
from pipelines.step import Step

STEPS: tuple[Step, ...] = (
    Step(
        name="cohorts",
        group="cohorts",
        outputs=("cohort_membership", "cohort_transitions", "cohort_sizes"),
        inputs=(
            "cart_activity",
            "visitor_acts",
            "visitor_daily",
            "visitor_orders",
            "visitor_purchases",
            "customer_orders",
            "order_lines",
            "link_clicks",
            "signal_crossings",
            "signal_snapshots",
            "identity_links",
            "customer_merges",
            "groups_history",
            "outlets_history",
            "campaigns_history",
            "referral_events",
            "opt_outs",
        ),
        run=run,
        carries_state=True,
        description="Who is in which cohort at the end of each day, who came and went, and how many.",
    ),
)

__all__ = ["CHECKS", "STEPS"]
