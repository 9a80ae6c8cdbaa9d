"""When a tenant's day is computed: in the tenant's zone, early enough for one failed attempt before the promise."""

from datetime import timedelta

import dagster as dg

from assets.jobs import job_name
from pipelines.config import Tenant


def daily_schedule(tenant: Tenant) -> dg.ScheduleDefinition:
    """Materialise yesterday's partition of everything."""
    zone = tenant.zone

    @dg.schedule(
        name=job_name(tenant.id, "daily_schedule"),
        job_name=job_name(tenant.id, "daily"),
        cron_schedule=tenant.config.schedule,
        execution_timezone=tenant.config.timezone,
        description=f"Yesterday's partition, at {tenant.config.schedule} in {tenant.config.timezone}.",
    )
    def yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = (context.scheduled_execution_time.astimezone(zone) - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    return yesterday
