"""The checks of the flow as asset checks: they report, and stop what is downstream.

Data is checked before it is published, inside the steps; a check that runs afterwards could not guard that.
"""

import dagster as dg

from assets.partitions import days_of_check
from assets.resources import Murmuration
from assets.stage import key_of
from pipelines.step import Check


def check_of(check: Check, tenant_id: str) -> dg.AssetChecksDefinition:
    """One asset check for one tenant, over the days of the run."""

    @dg.asset_check(
        asset=key_of(tenant_id, check.table),
        name=check.name,
        description=check.description,
        blocking=check.blocking,
    )
    def run_check(context: dg.AssetCheckExecutionContext, murmuration: Murmuration) -> dg.AssetCheckResult:
        result = check.run(murmuration.tenant(tenant_id), days_of_check(context))
        return dg.AssetCheckResult(
            passed=result.passed,
            description=result.description,
            metadata=dict(result.evidence),
            severity=dg.AssetCheckSeverity.ERROR if result.blocking else dg.AssetCheckSeverity.WARN,
        )

    return run_check
