"""One job per purpose: what a person or a schedule starts."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.deliveries import deliveries_page
from assets.resources import Murmuration
from assets.stage import key_of
from pipelines import flow
from pipelines.config import Tenant
from pipelines.delivery.deliver import deliver

#: Job suffix -> groups it materialises and what it is for.
PURPOSES: dict[str, tuple[tuple[str, ...], str]] = {
    "daily": (
        ("entities", "facts", "signals", "cohorts", "delivery", "exports"),
        "Everything for a day or a range of days: from landed batches to exports.",
    ),
    "reference_data": (("entities",), "Fold landed batches into entities, histories and ledgers."),
    "cohorts": (("facts", "signals", "cohorts"), "Facts, signals and cohorts of a range of days."),
    "exports": (("exports",), "Publish Parquet and CSV revisions where a result differs."),
}


def job_name(tenant_id: str, purpose: str) -> str:
    """Name of a tenant's job."""
    return f"{tenant_id.replace('-', '_')}_{purpose}"


def asset_jobs(tenant: Tenant) -> list[Any]:
    """The jobs that materialise assets."""
    jobs = []
    for purpose, (groups, description) in PURPOSES.items():
        # Exports may have an hour of their own.
        apart = {"exports"} if purpose == "daily" and tenant.config.exports.schedule else set()
        wanted = set(groups) - apart
        keys = [key_of(tenant.id, output) for step in flow.STEPS if step.group in wanted for output in step.outputs]
        jobs.append(
            dg.define_asset_job(
                job_name(tenant.id, purpose),
                selection=dg.AssetSelection.assets(*keys),
                description=description,
                tags={"tenant": tenant.id, "purpose": purpose},
            )
        )
    return jobs


def delivery_job(tenant: Tenant) -> dg.JobDefinition:
    """A bounded job that sends what is due; a long back-off stays in the outbox and never holds a run."""
    tenant_id = tenant.id

    @dg.op(name=job_name(tenant_id, "deliver_due"))
    def deliver_due(context: dg.OpExecutionContext, murmuration: Murmuration) -> None:
        counts = deliver(murmuration.workspace, tenant_id, once=True, clock=lambda: datetime.now(UTC))
        context.add_output_metadata(counts.as_dict())
        context.log_event(deliveries_page(murmuration.workspace, tenant_id, counts, datetime.now(UTC)))

    @dg.job(
        name=job_name(tenant_id, "deliver"),
        description="Send the webhooks that are due, each at least once.",
        tags={"tenant": tenant_id, "purpose": "deliver"},
    )
    def deliver_job() -> None:
        deliver_due()

    return deliver_job
