"""Steps and checks of this stage; what they compute is in ``run``."""

from __future__ import annotations

from pipelines.cohorts.checks import CHECKS as COHORT_CHECKS
from pipelines.cohorts.history import run as history
from pipelines.cohorts.history.checks import CHECKS as HISTORY_CHECKS
from pipelines.cohorts.history.publish import run
from pipelines.step import Check, Step

STEPS: tuple[Step, ...] = (
    Step(
        name="cohorts",
        group="cohorts",
        outputs=("cohort_membership", "cohort_transitions", "cohort_sizes", "cohort_suppressed"),
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
        code_version="2",
        description="Who is in which cohort at the end of each day, who came and went, and how many.",
    ),
    Step(
        name=history.STEP,
        group="cohorts",
        outputs=(history.TABLE,),
        inputs=(history.MOVED,),
        run=history.run,
        carries_state=True,
        advance=history.advance,
        # Where the day before is not there, its members are taken from those of the day.
        lookback=lambda tenant: {history.MOVED: 1},
        description="Spans of membership in valid time; those that are open lie in the partition 9999-12-31.",
    ),
)

CHECKS: tuple[Check, ...] = (*COHORT_CHECKS, *HISTORY_CHECKS)

__all__ = ["CHECKS", "STEPS"]
