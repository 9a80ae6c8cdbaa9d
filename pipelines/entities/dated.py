"""Partitions of the entities that belong to a day: one row per id in the whole table, not per day.

A row whose id has one version is taken from its day as it is. Ids with several versions are few; theirs are looked up
on every day and folded, and the winner is published on the day of its own instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.fold import SYSTEM, latest
from pipelines.landing import store
from schemas.entities import ENTITIES, Entity

#: Days whose repeated ids are folded together, which bounds memory in a long backfill.
CHUNK = 31


def partitions(
    tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None = None
) -> Iterator[tuple[date, pl.DataFrame]]:
    """The rows of each day in turn: ``date`` and the entity's stored columns, in no order.

    Args:
        tenant: whose landing is read.
        entity: a partitioned entity.
        days: tenant days, sorted.
        extra: versions that came inside another entity, with the columns that ``fold`` needs, ``date`` and ``id_key``.
    """
    names = [column.name for column in entity.stored]
    landed = set(store.dates(tenant, entity.name))
    for start in range(0, len(days), CHUNK):
        chunk = days[start : start + CHUNK]
        inside = None if extra is None else extra.filter(pl.col("date").is_in(chunk))
        repeated, newest = winners(tenant, entity, chunk, inside)
        for day in chunk:
            won = newest.filter(pl.col("date") == day).select("date", *names)
            if day not in landed:
                yield day, won
                continue
            alone = (
                store.scan(tenant, entity.name, [day])
                .filter(pl.col("op") != "delete")
                .join(repeated.lazy(), on="id_key", how="anti")
                .select("date", *names)
                .collect(engine="streaming")
            )
            yield day, pl.concat([alone, won])


def winners(
    tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ids with several versions of which one falls on the days: their ``id_key``, and the newest row of each.

    The rows have the entity's stored columns and ``date``, the day that each is published on; without deleted ids.
    """
    repeated = _repeated(tenant, entity, days, extra)
    newest = latest(_versions(tenant, entity, repeated, extra), entity)
    return repeated, newest.with_columns(local_date(pl.col(entity.day_instant), tenant.zone).alias("date"))


def current(tenant: Tenant, name: str, candidate: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """Latest rows, on any day, of the ids that have a version which satisfies ``candidate``.

    It reads landing, so that what a day's facts need of other days does not depend on which days were published.

    Args:
        tenant: whose landing is read.
        name: entity name.
        candidate: a predicate over the columns of a version; the latest row may no longer satisfy it.
        columns: columns to return.
    """
    entity = ENTITIES[name]
    versions = store.scan(tenant, name)
    several = versions.filter("repeat").select("id_key").unique().collect(engine="streaming")
    hits = versions.filter(candidate).select("id_key", "op", *columns).collect(engine="streaming")
    alone = hits.join(several, on="id_key", how="anti").filter(pl.col("op") != "delete").select(columns)
    folding = hits.select("id_key").unique().join(several, on="id_key", how="semi")
    if folding.is_empty():
        return alone
    return pl.concat([alone, latest(_versions(tenant, entity, folding, None), entity).select(columns)])


def _repeated(tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None) -> pl.DataFrame:
    """Keys of ids that have a version on one of the days and another one anywhere."""
    several = store.scan(tenant, entity.name).filter("repeat").select("id_key")
    if extra is not None:
        several = pl.concat([several, extra.lazy().select("id_key")])
    here = store.scan(tenant, entity.name, days).select("id_key")
    return here.join(several.unique(), on="id_key", how="semi").unique().collect(engine="streaming")


def _versions(tenant: Tenant, entity: Entity, keys: pl.DataFrame, extra: pl.DataFrame | None) -> pl.DataFrame:
    columns = [*SYSTEM, *(column.name for column in entity.stored)]
    found = store.scan(tenant, entity.name).join(keys.lazy(), on="id_key", how="semi").select(columns)
    frame = found.collect(engine="streaming") if keys.height else entity_versions(entity)
    return frame if extra is None else pl.concat([frame, extra.select(columns)])


def entity_versions(entity: Entity) -> pl.DataFrame:
    """An empty frame with the columns that ``fold`` needs."""
    system = {"order_at": pl.Datetime("us", "UTC"), "op": pl.String(), "patch_fields": pl.String()}
    return pl.DataFrame(schema={**system, **entity.schema()})
