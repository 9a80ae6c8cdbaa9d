"""Rows that name an entity which has not arrived: who waits for what, since when, and how much money waits with them.

A waiting row is accepted and usable; nothing is held back here. An id counts as arrived with its first version,
whatever became of it later.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import store
from schemas.entities import ENTITIES, Entity
from schemas.registry import LAKE

CONTRACT = LAKE["unresolved_references"]
#: What is blocked when a row of the entity waits.
MONEY = {"transactions": "net_minor", "customer_events": "value_minor"}


def unresolved(tenant: Tenant) -> pl.DataFrame:
    """Every waiting reference of the published latest rows, with the columns of ``unresolved_references``."""
    parts = [part for entity in ENTITIES.values() for part in _of_entity(tenant, entity)]
    if not parts:
        return CONTRACT.empty()
    waiting = pl.concat(parts).unique(list(CONTRACT.primary_key), keep="any")
    return _with_since(tenant, waiting).select(CONTRACT.names)


def _of_entity(tenant: Tenant, entity: Entity) -> Iterator[pl.DataFrame]:
    rows = tenant.lake.scan(entity.name)
    for column, target, key in entity.references:
        named = rows.filter(pl.col(column).is_not_null())
        opened = (
            named.with_columns(_ids(entity, column, key)).explode("_target")
            if _is_list(entity, column)
            else (named.with_columns(pl.col(column).alias("_target")))
        )
        missing = _missing(tenant, opened, target)
        if missing.height:
            yield _waiting(opened, missing, entity, f"{column}.{key}" if key else column, target)


def _missing(tenant: Tenant, opened: pl.LazyFrame, target: str) -> pl.DataFrame:
    """Distinct target ids that no version of the target entity has; distinct first, since few ids are named often."""
    asked = opened.select("_target").filter(pl.col("_target").is_not_null()).unique()
    known = store.scan(tenant, target).select(pl.col("external_id").alias("_target"))
    return asked.join(known, on="_target", how="anti").collect(engine="streaming")


def _waiting(opened: pl.LazyFrame, missing: pl.DataFrame, entity: Entity, field: str, target: str) -> pl.DataFrame:
    money = MONEY.get(entity.name)
    return (
        opened.join(missing.lazy(), on="_target", how="semi")
        .select(
            pl.lit(entity.name).alias("entity"),
            pl.col("external_id").alias("row_id"),
            pl.lit(field).alias("field"),
            pl.lit(target).alias("target_entity"),
            pl.col("_target").alias("target_id"),
            pl.col(entity.ordered_by).alias("_ordered"),
            (pl.col("date") if entity.partitioned else pl.lit(None, dtype=pl.Date)).alias("date"),
            (pl.col(money) if money else pl.lit(None, dtype=pl.Int64)).alias("blocked_minor"),
            (pl.col("currency") if money else pl.lit(None, dtype=pl.String)).alias("currency"),
        )
        .collect(engine="streaming")
    )


def _with_since(tenant: Tenant, waiting: pl.DataFrame) -> pl.DataFrame:
    """Add the instant of each waiting row's first version; stock inside products has only its own."""
    firsts = [
        store.scan(tenant, name)
        .join(waiting.lazy().filter(pl.col("entity") == name), left_on="external_id", right_on="row_id", how="semi")
        .group_by("external_id")
        .agg(pl.col("order_at").min().alias("since"))
        .select(pl.lit(name).alias("entity"), pl.col("external_id").alias("row_id"), "since")
        .collect(engine="streaming")
        for name in waiting["entity"].unique().sort()
    ]
    joined = waiting.join(pl.concat(firsts), on=["entity", "row_id"], how="left")
    return joined.with_columns(pl.min_horizontal("since", "_ordered"))


def _is_list(entity: Entity, column: str) -> bool:
    return LAKE[entity.name][column].kind == "json"


def _ids(entity: Entity, column: str, key: str | None) -> pl.Expr:
    """Ids in a JSON list: its strings, or one key of its objects."""
    if key is None:
        return pl.col(column).str.json_decode(pl.List(pl.String())).alias("_target")
    objects = pl.col(column).str.json_decode(pl.List(pl.Struct({key: pl.String()})))
    return objects.list.eval(pl.element().struct.field(key)).alias("_target")
