"""A step of the flow as Dagster assets: one op that materialises every table the step publishes."""

from datetime import date

import dagster as dg

from assets.metadata import day_numbers, definition_metadata, due_policy, preview, promise_metadata, work_metadata
from assets.partitions import RECOMPUTE_REASON, days_of
from assets.resources import Murmuration
from assets.retries import permanent_errors_end_the_step, policy
from pipelines import flow
from pipelines.config import Tenant
from pipelines.freshness import Freshness
from pipelines.step import Step
from schemas.exports import CAMPAIGN_FILES
from schemas.registry import LAKE


def key_of(tenant_id: str, output: str) -> dg.AssetKey:
    """Asset key of a table or export dataset: tenant first, so that tenants fail and are backfilled alone."""
    return dg.AssetKey([tenant_id, output])


def assets_of(step: Step, tenant: Tenant, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The assets of one step for one tenant."""
    tenant_id = tenant.id
    specs = [
        dg.AssetSpec(
            key_of(tenant_id, output),
            deps=[key_of(tenant_id, name) for name in step.inputs if name not in step.outputs],
            description=LAKE[output].description if output in LAKE else step.description,
            group_name=step.group,
            kinds=set(step.kinds),
            code_version=step.code_version,
            metadata=definition_metadata(tenant, output),
            owners=[f"team:{tenant_id}"],
            partitions_def=partitions if step.partitioned else None,
            freshness_policy=due_policy(tenant) if step.group == "exports" else None,
        )
        for output in step.outputs
    ]

    @dg.multi_asset(
        name=f"{tenant_id.replace('-', '_')}__{step.name}",
        specs=specs,
        backfill_policy=dg.BackfillPolicy.single_run() if step.partitioned else None,
        retry_policy=policy(step.group),
    )
    def materialise(context: dg.AssetExecutionContext, murmuration: Murmuration):  # noqa: ANN202  Dagster reads it
        tenant = murmuration.tenant(tenant_id)
        days = days_of(context) if step.partitioned else []
        # A run for late data names the range that it may touch; what it asks for is only what differs there.
        late = step.partitioned and RECOMPUTE_REASON in context.run.tags
        with permanent_errors_end_the_step():
            work = flow.perform(step, tenant, Freshness(tenant).stale(step, days) if late else days, days)
        for output in step.outputs:
            _report(context, tenant, output, work, days)

    return materialise


def _report(context: dg.AssetExecutionContext, tenant: Tenant, output: str, work: flow.Work, days: list[date]) -> None:
    key = key_of(tenant.id, output)
    commit = work.commits.get(output)
    if not days:
        shown = preview(tenant, output, None)
        context.add_asset_metadata({**work_metadata(work, output, None), **shown}, asset_key=key)
        return
    numbers = day_numbers(tenant, output, list(commit.rows) if commit else [])
    for day in days:
        shown = preview(tenant, output, day) if day == days[-1] else {}
        promise = promise_metadata(tenant, _dataset(output), day) if output.startswith(("s3_", "gcs_")) else {}
        metadata = {**work_metadata(work, output, day), **numbers.get(day, {}), **promise, **shown}
        context.add_asset_metadata(metadata, asset_key=key, partition_key=day.isoformat())


def _dataset(output: str) -> str:
    return CAMPAIGN_FILES if output.startswith("gcs_") else output.removeprefix("s3_")
