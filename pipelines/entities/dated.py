"""Partitions of the entities that belong to a day: one row per id in the whole table, not per day.

A row whose id has one version is taken from its day as it is. Ids with several versions are few; theirs are looked up
on every day and folded, and the winner is published on the day of its own instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.days import Fold, rows_of_day
from pipelines.entities.fold import SYSTEM, latest
from pipelines.landing import store
from pipelines.landing.extracts import moved_versions, of_batches, repeated_ids
from pipelines.storage.hashing import identifier, subject_key
from schemas.entities import ENTITIES, Entity

#: Days whose repeated ids are folded together, which bounds memory in a long backfill.
CHUNK = 31
#: Ids with several versions that are folded together; of more, those of one piece of a day after the other.
MOST_REPEATED = 50_000


def partitions(
    tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None = None
) -> Iterator[tuple[date, Iterator[pl.DataFrame]]]:
    """The rows of each day in turn, ``date`` and the entity's stored columns: one frame, or several of a large day.

    The frames of a day are ranges of ``external_id``, each after the one before; within a frame there is no order. They
    are read when they are asked for, before the next day.

    Args:
        tenant: whose landing is read.
        entity: a partitioned entity.
        days: tenant days, sorted.
        extra: versions that came inside another entity, with the columns that ``fold`` needs, ``date`` and ``id_key``.
    """
    names = [column.name for column in entity.stored]
    for start in range(0, len(days), CHUNK):
        chunk = days[start : start + CHUNK]
        landed = _landed(tenant, entity, chunk)
        for day, fold in _folds(tenant, entity, chunk, extra):
            if day in landed:
                yield day, rows_of_day(tenant, entity, day, landed[day], fold)
            else:
                yield day, iter([fold(None)[1].select("date", *names)])


def _landed(tenant: Tenant, entity: Entity, days: Sequence[date]) -> dict[date, int]:
    """Landed rows of the days that have any."""
    counted = store.scan(tenant, entity.name, days).group_by("date").agg(pl.len().cast(pl.Int64))
    return dict(counted.collect(engine="streaming").iter_rows())


def _folds(
    tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None
) -> Iterator[tuple[date, Fold]]:
    """Ids with several versions: folded for all days at once, or where they are many, for each piece of each day."""
    inside = None if extra is None else extra.filter(pl.col("date").is_in(days))
    repeated = _repeated(tenant, entity, days, inside)
    if repeated.height > MOST_REPEATED:
        for day in days:
            on_day = None if inside is None else inside.filter(pl.col("date") == day)
            yield day, partial(_folded_in_pieces, tenant, entity, day, on_day)
        return
    newest = _newest(tenant, entity, repeated, inside)
    for day in days:
        yield day, partial(_folded_before, repeated, newest.filter(pl.col("date") == day))


def _folded_before(
    repeated: pl.DataFrame, won: pl.DataFrame, keys: pl.Expr | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if keys is None:
        return repeated, won
    return repeated, won.with_columns(subject_key("external_id").alias("id_key")).filter(keys)


def _folded_in_pieces(
    tenant: Tenant, entity: Entity, day: date, extra: pl.DataFrame | None, keys: pl.Expr | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    own = extra if extra is None or keys is None else extra.filter(keys)
    repeated = _repeated(tenant, entity, [day], own, keys)
    return repeated, _newest(tenant, entity, repeated, own, keys).filter(pl.col("date") == day)


def winners(
    tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ids with several versions of which one falls on the days: their ``id_key``, and the newest row of each.

    The rows have the entity's stored columns and ``date``, the day that each is published on; without deleted ids.
    """
    repeated = _repeated(tenant, entity, days, extra)
    return repeated, _newest(tenant, entity, repeated, extra)


def _newest(
    tenant: Tenant, entity: Entity, repeated: pl.DataFrame, extra: pl.DataFrame | None, keys: pl.Expr | None = None
) -> pl.DataFrame:
    newest = latest(_versions(tenant, entity, repeated, extra, keys), entity)
    return newest.with_columns(local_date(pl.col(entity.day_instant), tenant.zone).alias("date"))


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


def _repeated(
    tenant: Tenant, entity: Entity, days: Sequence[date], extra: pl.DataFrame | None, keys: pl.Expr | None = None
) -> pl.DataFrame:
    """Keys of ids that have a version on one of the days and another one anywhere; ``keys`` are the ids asked for."""
    several = repeated_ids(tenant, entity.name).lazy()
    if extra is not None:
        several = pl.concat([several, extra.lazy().select("id_key")])
    rows = store.scan(tenant, entity.name, days)
    here = (rows if keys is None else rows.filter(keys)).select("id_key")
    return here.join(several.unique(), on="id_key", how="semi").unique().collect(engine="streaming")


def _versions(
    tenant: Tenant, entity: Entity, ids: pl.DataFrame, extra: pl.DataFrame | None, keys: pl.Expr | None = None
) -> pl.DataFrame:
    columns = [*SYSTEM, *(column.name for column in entity.stored)]
    frame = _landed_versions(tenant, entity, ids, keys, columns) if ids.height else entity_versions(entity)
    return frame if extra is None else pl.concat([frame, extra.select(columns)])


def _landed_versions(
    tenant: Tenant, entity: Entity, ids: pl.DataFrame, keys: pl.Expr | None, columns: Sequence[str]
) -> pl.DataFrame:
    """Every version of some ids, all of them among ``keys``; only the days on which they lie are opened."""
    places = moved_versions(tenant, entity.name).join(ids, on="id_key", how="semi")
    days = places["date"].unique().drop_nulls().sort().to_list()
    # A version without an instant lies on no day, and an id with one version is not among the places.
    narrow = bool(days) and not places["date"].null_count() and places["id_key"].n_unique() == ids.height
    rows = store.scan(tenant, entity.name, days if narrow else None)
    asked = rows if keys is None else rows.filter(keys)
    # As a filter and not a join, other columns are read of the rows found only.
    found = asked.filter(pl.col("id_key").is_in(ids["id_key"].implode()))
    return found.select(columns).collect(engine="streaming")


def entity_versions(entity: Entity) -> pl.DataFrame:
    """An empty frame with the columns that ``fold`` needs."""
    system = {"order_at": pl.Datetime("us", "UTC"), "op": pl.String(), "patch_fields": pl.String()}
    return pl.DataFrame(schema={**system, **entity.schema()})
