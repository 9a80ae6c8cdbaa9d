"""Files dropped into a tenant's inboxes: a sensor that sees them, and the bounded job that lands them."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.jobs import job_name
from assets.resources import Murmuration
from pipelines.config import Tenant
from pipelines.landing.drops import Drop
from pipelines.landing.inbox import glance, land_drops

#: Tag that says which set of objects a run was asked to land.
OBJECTS = "inbox_objects"
#: After the n-th failed run for the same objects, the next one waits 2^n of these.
_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)


def landing_job(tenant: Tenant) -> dg.JobDefinition:
    """Land whatever is in the inboxes now."""
    tenant_id = tenant.id

    @dg.op(name=job_name(tenant_id, "land_drops"))
    def land(context: dg.OpExecutionContext, murmuration: Murmuration) -> None:
        look = land_drops(murmuration.tenant(tenant_id), lambda: datetime.now(UTC))
        rows = {
            name: sum(getattr(receipt, name) for receipt in look.receipts)
            for name in ("received", "accepted", "duplicate", "superseded", "quarantined")
        }
        context.add_output_metadata({**look.counts(), **rows})
        for standing, listed in look.left.items():
            context.log.warning(f"{len(listed)} objects were left: {standing}")
        if look.failed or look.unreachable:
            # Keys may hold what a person typed, so only how many there are is said here.
            reasons = sorted({why for _, why in (*look.failed, *look.unreachable)})
            raise dg.Failure(f"{len(look.failed)} objects were not read: {'; '.join(reasons)}", allow_retries=False)

    @dg.job(
        name=job_name(tenant_id, "landing"),
        description="Land files dropped into the inboxes, each once.",
        tags={"tenant": tenant_id, "purpose": "landing"},
    )
    def landing() -> None:
        land()

    return landing


def inbox_sensor(tenant: Tenant) -> dg.SensorDefinition:
    """Objects that have not landed become one landing run; after a failed run, another one, ever more slowly."""
    tenant_id = tenant.id

    @dg.sensor(
        name=job_name(tenant_id, "inbox_sensor"),
        job_name=job_name(tenant_id, "landing"),
        minimum_interval_seconds=30,
        description="Starts a landing run when files were dropped into an inbox.",
    )
    def inbox(context: dg.SensorEvaluationContext, murmuration: Murmuration) -> dg.RunRequest | dg.SkipReason:
        waiting, look = glance(murmuration.tenant(tenant_id), datetime.now(UTC))
        for url, why in look.unreachable:
            context.log.warning(f"{url} was not looked at: {why}")
        if not waiting:
            return dg.SkipReason(_idle(look.counts()))
        objects = _key(waiting)
        context.update_cursor(objects)
        failed, pause = _history(context.instance, tenant_id, objects)
        if pause:
            return dg.SkipReason(f"{failed} runs could not land {len(waiting)} objects; the next one starts in {pause}")
        tags = {OBJECTS: objects, "objects": str(len(waiting))}
        return dg.RunRequest(run_key=f"inbox:{objects}:{failed}", tags=tags)

    return inbox


def _idle(counts: dict[str, int]) -> str:
    left = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    return f"nothing new; left: {left}" if left else "nothing new"


def _key(waiting: Sequence[Drop]) -> str:
    """The same objects ask for one run; another object or another version of one is another set."""
    return hashlib.sha256(repr(sorted(drop.identity for drop in waiting)).encode()).hexdigest()[:16]


def _history(instance: dg.DagsterInstance, tenant_id: str, objects: str) -> tuple[int, timedelta | None]:
    """How many runs for these objects have failed, and how long to wait before the next; None when it may start."""
    filters = dg.RunsFilter(
        job_name=job_name(tenant_id, "landing"), tags={OBJECTS: objects}, statuses=[dg.DagsterRunStatus.FAILURE]
    )
    failed = instance.get_run_records(filters, limit=100)
    if not failed:
        return 0, None
    since = datetime.now(UTC) - failed[0].update_timestamp.astimezone(UTC)
    left = min(_PAUSE * 2 ** len(failed), _LONGEST_PAUSE) - since
    return len(failed), timedelta(seconds=int(left.total_seconds())) if left.total_seconds() >= 1 else None
