"""Exports by the clock: their own schedule, the question whether they are there in time, and old revisions' end."""

from datetime import UTC, datetime, time, timedelta

import dagster as dg

from assets.jobs import job_name
from assets.partitions import RECOMPUTE_REASON, first_day, range_tags
from assets.resources import Murmuration
from pipelines import flow
from pipelines.config import Tenant
from pipelines.exports.late import MINUTES_BEFORE, late, tell
from pipelines.exports.retention import prune
from pipelines.exports.target import export_store
from pipelines.freshness import Freshness


def exports_schedule(tenant: Tenant) -> list[dg.ScheduleDefinition]:
    """Yesterday's exports, and days that late data changed, at the tenant's own hour, where it has set one."""
    cron, zone, tenant_id = tenant.config.exports.schedule, tenant.zone, tenant.id
    if cron is None:
        return []

    @dg.schedule(
        name=job_name(tenant.id, "exports_schedule"),
        job_name=job_name(tenant.id, "exports"),
        cron_schedule=cron,
        execution_timezone=tenant.config.timezone,
        description=f"Yesterday's exports, at {cron} in {tenant.config.timezone}.",
    )
    def yesterday(context: dg.ScheduleEvaluationContext, murmuration: Murmuration) -> dg.RunRequest:
        day = (context.scheduled_execution_time.astimezone(zone) - timedelta(days=1)).date()
        own = murmuration.tenant(tenant_id)
        freshness = Freshness(own)
        known = [each for each in freshness.available_days() if first_day(own) <= each <= day]
        stale = sorted(
            {each for step in flow.STEPS if step.group == "exports" for each in freshness.stale(step, known)}
        )
        if not stale or stale[0] == day:
            return dg.RunRequest(run_key=day.isoformat(), partition_key=day.isoformat())
        reason = {RECOMPUTE_REASON: f"{len(stale)} days changed from {stale[0]}"}
        return dg.RunRequest(run_key=f"late:{stale[0]}:{day}", tags={**range_tags(stale[0], day), **reason})

    return [yesterday]


def absence_job(tenant: Tenant) -> dg.JobDefinition:
    """A run that fails, and tells whom the tenant names, when files of a day are missing before they are due."""
    tenant_id = tenant.id

    @dg.op(name=job_name(tenant_id, "exports_are_there"), config_schema={"day": str})
    def exports_are_there(context: dg.OpExecutionContext, murmuration: Murmuration) -> None:
        own = murmuration.tenant(tenant_id)
        day = datetime.fromisoformat(context.op_config["day"]).date()
        found = late(own, day)
        if found is None:
            context.add_output_metadata({"day": day.isoformat(), "missing": 0})
            return
        told = tell(own, found)
        missing = [name for names in found.missing.values() for name in names]
        raise dg.Failure(
            f"exports of {day} are due at {found.promised_at} and missing: {', '.join(missing)}",
            metadata={"day": found.date, "due": found.promised_at, "missing": len(missing), "told": told},
            allow_retries=False,
        )

    @dg.job(
        name=job_name(tenant_id, "exports_absence"),
        description="Are yesterday's exports there, shortly before they are due?",
        tags={"tenant": tenant_id, "purpose": "exports_absence"},
    )
    def job() -> None:
        exports_are_there()

    return job


def absence_schedule(tenant: Tenant) -> dg.ScheduleDefinition:
    """Asks some minutes before the promise, in the tenant's zone: by default at 03:45."""
    exports, zone = tenant.config.exports, tenant.zone
    due = time.fromisoformat(exports.promised_by)
    before = exports.alert.minutes_before if exports.alert else MINUTES_BEFORE
    asked = divmod((due.hour * 60 + due.minute - before) % (24 * 60), 60)
    op = job_name(tenant.id, "exports_are_there")

    @dg.schedule(
        name=job_name(tenant.id, "exports_absence_schedule"),
        job_name=job_name(tenant.id, "exports_absence"),
        cron_schedule=f"{asked[1]} {asked[0]} * * *",
        execution_timezone=tenant.config.timezone,
        description=f"Asks {before} minutes before {exports.promised_by} whether yesterday's exports are there.",
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        promise = context.scheduled_execution_time.astimezone(zone) + timedelta(minutes=before)
        day = (promise.date() - timedelta(days=1)).isoformat()
        return dg.RunRequest(run_key=day, run_config={"ops": {op: {"config": {"day": day}}}})

    return ask


def prune_job(tenant: Tenant) -> dg.JobDefinition:
    """Removes revisions that were superseded longer ago than the tenant keeps them."""
    tenant_id = tenant.id

    @dg.op(name=job_name(tenant_id, "prune_revisions"))
    def prune_revisions(context: dg.OpExecutionContext, murmuration: Murmuration) -> None:
        own = murmuration.tenant(tenant_id)
        stores = (export_store(own, "s3"), export_store(own, "gcs"))
        days = own.config.exports.keep_revisions_days
        gone = sum(len(prune(store, datetime.now(UTC), days)) for store in stores if store)
        context.add_output_metadata({"removed_objects": gone})

    @dg.job(
        name=job_name(tenant_id, "prune_exports"),
        description="Remove revisions that were superseded long ago.",
        tags={"tenant": tenant_id, "purpose": "prune_exports"},
    )
    def job() -> None:
        prune_revisions()

    return job


def prune_schedule(tenant: Tenant) -> dg.ScheduleDefinition:
    """Once a week, when nothing is due."""
    return dg.ScheduleDefinition(
        name=job_name(tenant.id, "prune_exports_schedule"),
        job_name=job_name(tenant.id, "prune_exports"),
        cron_schedule="0 12 * * 0",
        execution_timezone=tenant.config.timezone,
    )
