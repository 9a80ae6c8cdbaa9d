"""What starts work besides the clock. Sensors only read; what must happen once is decided by the tables."""

import hashlib
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.jobs import job_name
from assets.partitions import RECOMPUTE_REASON, first_day, range_tags
from assets.resources import Murmuration
from pipelines import flow
from pipelines.config import Tenant
from pipelines.delivery.waiting import waiting
from pipelines.freshness import Freshness


def transitions_sensor(tenant: Tenant) -> dg.SensorDefinition:
    """New transitions, or retries that are due, become one bounded delivery run."""
    tenant_id = tenant.id

    @dg.sensor(
        name=job_name(tenant_id, "transitions_sensor"),
        job_name=job_name(tenant_id, "deliver"),
        minimum_interval_seconds=5,
        description="Starts a delivery run when the outbox has something to send.",
    )
    def transitions(context: dg.SensorEvaluationContext, murmuration: Murmuration) -> dg.RunRequest | dg.SkipReason:
        due = waiting(murmuration.workspace, tenant_id, datetime.now(UTC))
        if not due:
            return dg.SkipReason("nothing is due")
        # The same set of due deliveries asks for one run; a retry changes the set.
        key = hashlib.sha256("\n".join(due).encode()).hexdigest()[:16]
        return dg.RunRequest(run_key=f"due:{key}", tags={"waiting": str(len(due))})

    return transitions


def late_data_sensor(tenant: Tenant) -> dg.SensorDefinition:
    """Days before yesterday whose inputs changed become one range run, first stale day to newest computed day."""
    tenant_id = tenant.id

    @dg.sensor(
        name=job_name(tenant_id, "late_data_sensor"),
        job_name=job_name(tenant_id, "daily"),
        minimum_interval_seconds=60,
        description="Starts a range run from the first day that late data touches.",
    )
    def late_data(context: dg.SensorEvaluationContext, murmuration: Murmuration) -> dg.RunRequest | dg.SkipReason:
        tenant = murmuration.tenant(tenant_id)
        computed = tenant.lake.days("cohort_sizes")
        if not computed:
            return dg.SkipReason("nothing was computed yet; the first backfill is started by hand")
        newest = min(computed[-1], datetime.now(tenant.zone).date() - timedelta(days=1))
        freshness = Freshness(tenant)
        known = [day for day in freshness.available_days() if first_day(tenant) <= day <= newest]
        dated = [step for step in flow.STEPS if step.partitioned]
        stale = sorted({day for step in dated for day in freshness.stale(step, known)})
        if not stale:
            return dg.SkipReason("no late data")
        seen = hashlib.sha256(repr([freshness.fingerprints(step, stale) for step in dated]).encode()).hexdigest()[:16]
        return dg.RunRequest(
            run_key=f"late:{stale[0]}:{newest}:{seen}",
            tags={**range_tags(stale[0], newest), RECOMPUTE_REASON: f"{len(stale)} days changed from {stale[0]}"},
        )

    return late_data
