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
from pipelines.landing.extracts import moved_versions, of_batches, repeated_ids
from pipelines.storage.hashing import identifier
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


def current(
    tenant: Tenant, name: str, candidate: pl.Expr, columns: Sequence[str], keep: str | None = None
) -> pl.DataFrame:
    """Latest rows, on any day, of the ids that have a version which satisfies ``candidate``.

    It reads landing, so that what a day's facts need of other days does not depend on which days were published.

    Args:
        tenant: whose landing is read.
        name: entity name.
        candidate: a predicate over the columns of a version; the latest row may no longer satisfy it.
        columns: columns to return.
        keep: what the candidates are called; those of a batch are then looked for once.
    """
    entity = ENTITIES[name]
    several = repeated_ids(tenant, name)

    def wanted(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.filter(candidate).select("id_key", "op", *columns)

    meaning = f"{keep}-{identifier(str(candidate), *columns)[:8]}"
    found = of_batches(tenant, name, meaning, wanted) if keep else wanted(store.scan(tenant, name))
    hits = found.collect(engine="streaming")
    alone = hits.join(several, on="id_key", how="anti").filter(pl.col("op") != "delete").select(columns)
    folding = hits.select("id_key").unique().join(several, on="id_key", how="semi")
    if folding.is_empty():
        return alone
    return pl.concat([alone, latest(_versions(tenant, entity, folding, None), entity).select(columns)])


def _repeated(tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None) -> pl.DataFrame:
    """Keys of ids that have a version on one of the days and another one anywhere."""
    several = repeated_ids(tenant, entity.name).lazy()
    if extra is not None:
        several = pl.concat([several, extra.lazy().select("id_key")])
    here = store.scan(tenant, entity.name, days).select("id_key")
    return here.join(several.unique(), on="id_key", how="semi").unique().collect(engine="streaming")


def _versions(tenant: Tenant, entity: Entity, keys: pl.DataFrame, extra: pl.DataFrame | None) -> pl.DataFrame:
    columns = [*SYSTEM, *(column.name for column in entity.stored)]
    frame = _landed_versions(tenant, entity, keys).select(columns) if keys.height else entity_versions(entity)
    return frame if extra is None else pl.concat([frame, extra.select(columns)])


def _landed_versions(tenant: Tenant, entity: Entity, keys: pl.DataFrame) -> pl.DataFrame:
    """Every version of some ids; only the days on which they lie are opened."""
    places = moved_versions(tenant, entity.name).join(keys, on="id_key", how="semi")
    days = places["date"].unique().drop_nulls().sort().to_list()
    # A version without an instant lies on no day, and an id with one version is not among the places.
    narrow = bool(days) and not places["date"].null_count() and places["id_key"].n_unique() == keys.height
    rows = store.scan(tenant, entity.name, days if narrow else None)
    return rows.join(keys.lazy(), on="id_key", how="semi").collect(engine="streaming")


def entity_versions(entity: Entity) -> pl.DataFrame:
    """An empty frame with the columns that ``fold`` needs."""
    system = {"order_at": pl.Datetime("us", "UTC"), "op": pl.String(), "patch_fields": pl.String()}
    return pl.DataFrame(schema={**system, **entity.schema()})
