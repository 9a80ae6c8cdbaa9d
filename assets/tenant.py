"""Everything of one tenant, made from its folder: assets, checks, jobs, schedule, sensors."""

from __future__ import annotations

import dagster as dg

from assets.checks import check_of
from assets.deliveries import deliveries_spec
from assets.exports import absence_job, absence_schedule, exports_schedule, prune_job, prune_schedule
from assets.inbox import inbox_sensor, landing_job
from assets.jobs import asset_jobs, delivery_job
from assets.partitions import daily
from assets.schedules import daily_schedule
from assets.sensors import late_data_sensor, transitions_sensor
from assets.stage import assets_of
from pipelines import flow
from pipelines.config import Tenant


def tenant_definitions(tenant: Tenant) -> dg.Definitions:
    """Definitions of one tenant, without resources."""
    partitions = daily(tenant)
    return dg.Definitions(
        assets=[*(assets_of(step, tenant, partitions) for step in flow.STEPS), deliveries_spec(tenant.id)],
        asset_checks=[check_of(check, tenant.id) for check in flow.CHECKS],
        jobs=[*asset_jobs(tenant), delivery_job(tenant), landing_job(tenant), absence_job(tenant), prune_job(tenant)],
        schedules=[daily_schedule(tenant), *exports_schedule(tenant), absence_schedule(tenant), prune_schedule(tenant)],
        sensors=[inbox_sensor(tenant), transitions_sensor(tenant), late_data_sensor(tenant)],
    )
