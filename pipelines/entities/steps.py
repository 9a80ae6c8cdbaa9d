"""The steps of the entities stage: latest rows, histories and the ledgers of what was received."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.config import Tenant
from pipelines.entities import touched
from pipelines.entities.business_date import with_business_date
from pipelines.entities.carried import CARRIED, carried
from pipelines.entities.checks import CHECKS as TABLE_CHECKS
from pipelines.entities.dated import entity_versions, partitions
from pipelines.entities.far_days import CHECK as FAR_DAYS_CHECK
from pipelines.entities.fold import newest, states
from pipelines.entities.gained import Inputs, day_inputs, gained, remember
from pipelines.entities.history import valid_time
from pipelines.entities.ledgers import batch_partitions, batches, quarantine
from pipelines.entities.merges import customer_merges
from pipelines.entities.reference_age import CHECK as REFERENCES_CHECK
from pipelines.entities.references import unresolved
from pipelines.landing import store
from pipelines.landing.extracts import batch_files
from pipelines.step import Check, Step, Writers, publish
from pipelines.storage.lake import Commit
from schemas.entities import ENTITIES
from schemas.registry import DIMENSIONS

__all__ = ["CHECKS", "STEPS"]

CHECKS: tuple[Check, ...] = (*TABLE_CHECKS, REFERENCES_CHECK, FAR_DAYS_CHECK)


def dimensions(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish latest and history of every entity that has no days, and who was merged; ``days`` is not used."""
    return publish_dimensions(tenant, DIMENSIONS)


def publish_dimensions(tenant: Tenant, names: Sequence[str]) -> dict[str, Commit]:
    """Publish latest and history of some entities without days."""
    batches = {name: sorted(batch_files(tenant, name)) for name in names}
    known = {name: touched.untouched(tenant, ENTITIES[name], batches[name], carried(tenant, name)) for name in names}
    open_ones = [name for name in names if not known.get(name)]

    said: dict[str, str] = {}

    def fill(writers: Writers) -> None:
        for name in open_ones:
            # Read again, now that nobody else can publish in between.
            inside = carried(tenant, name)
            said[name] = touched.said(inside, ENTITIES[name])
            tables = touched.touched(tenant, ENTITIES[name], batches[name]) if name not in CARRIED else None
            made = tables or _folded(tenant, name, inside)
            writers[name].put(None, made.latest)
            writers[f"{name}_history"].put(None, made.past)
            if name == "customers":
                writers["customer_merges"].put(None, customer_merges(made.past))

    commits = publish(tenant, _dimension_tables(open_ones), fill)
    for name in open_ones:
        # Whatever landed meanwhile may have been read or not.
        if sorted(batch_files(tenant, name)) == batches[name]:
            touched.remember(tenant, ENTITIES[name], batches[name], said[name])
    commits |= {table: commit for outcome in known.values() if outcome for table, commit in outcome.items()}
    return {table: commits[table] for table in _dimension_tables(names)}


def _folded(tenant: Tenant, name: str, inside: pl.DataFrame | None) -> touched.Tables:
    """Every version of an entity, folded, with those that other records carry."""
    entity = ENTITIES[name]
    columns = list(entity_versions(entity).schema)
    versions = store.scan(tenant, name).select(columns).collect(engine="streaming")
    if inside is not None:
        versions = pl.concat([versions, inside.select(columns)])
    folded = states(versions, entity)
    return touched.Tables(newest(folded).select(entity.contract.names), valid_time(folded, entity))


def customer_events(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish the events of each day."""
    entity = ENTITIES["customer_events"]
    inputs: dict[date, Inputs] = {}

    def fill(writers: Writers) -> None:
        inputs.update(day_inputs(tenant, entity, days))
        known = gained(tenant, entity, inputs)
        for day, frames in known.items():
            writers["customer_events"].put_parts(day, frames)
        for day, frames in partitions(tenant, entity, [day for day in days if day not in known]):
            writers["customer_events"].put_parts(day, frames)

    commits = publish(tenant, ("customer_events",), fill)
    # Whatever landed meanwhile may have been read or not.
    after = day_inputs(tenant, entity, days)
    remember(tenant, entity, {day: made for day, made in inputs.items() if after[day] == made})
    return commits


def transactions(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish the transactions of each day with their business date."""

    def fill(writers: Writers) -> None:
        outlets = tenant.lake.read("outlets_history")
        for day, frames in partitions(tenant, ENTITIES["transactions"], days):
            dated = (with_business_date(frame, outlets, tenant.zone) for frame in frames)
            writers["transactions"].put_parts(day, dated)

    return publish(tenant, ("transactions",), fill)


def stock_levels(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish the stock measured on each day, what came inside products included."""

    def fill(writers: Writers) -> None:
        for day, frames in partitions(tenant, ENTITIES["stock_levels"], days, carried(tenant, "stock_levels")):
            writers["stock_levels"].put_parts(day, frames)

    return publish(tenant, ("stock_levels",), fill)


_LEDGERS = ("batches", "batch_partitions", "quarantine", "unresolved_references")


def ledgers(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish what was received, refused and is still waited for; ``days`` is not used."""

    def fill(writers: Writers) -> None:
        writers["batches"].put(None, batches(tenant))
        writers["batch_partitions"].put(None, batch_partitions(tenant))
        writers["quarantine"].put(None, quarantine(tenant))
        writers["unresolved_references"].put(None, unresolved(tenant))

    return publish(tenant, _LEDGERS, fill)


def _dimension_tables(names: Sequence[str]) -> tuple[str, ...]:
    found = [table for name in names for table in touched.tables_of(name)]
    # Last, as it was made from what is committed before it.
    return tuple(sorted(found, key=lambda table: table == "customer_merges"))


STEPS: tuple[Step, ...] = (
    Step(
        name="dimensions",
        group="entities",
        outputs=_dimension_tables(DIMENSIONS),
        inputs=(),
        run=dimensions,
        partitioned=False,
        description="Customers, products, places, campaigns, links, referrals, opt-outs, identities and rates.",
    ),
    Step(
        name="customer_events",
        group="entities",
        outputs=("customer_events",),
        inputs=(),
        run=customer_events,
        description="One row per event id.",
    ),
    Step(
        name="transactions",
        group="entities",
        outputs=("transactions",),
        inputs=("outlets_history",),
        run=transactions,
        description="One row per transaction, with its business date.",
    ),
    Step(
        name="stock_levels",
        group="entities",
        outputs=("stock_levels",),
        inputs=(),
        run=stock_levels,
        description="One row per product, place and instant of measurement.",
    ),
    Step(
        name="ledgers",
        group="entities",
        outputs=_LEDGERS,
        inputs=(*DIMENSIONS, "customer_events", "transactions", "stock_levels"),
        run=ledgers,
        partitioned=False,
        description="What was received, what was refused and what is still waited for.",
    ),
)
