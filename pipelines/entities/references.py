"""Rows that name an entity which has not arrived: who waits for what, since when, and how much money waits with them.

A waiting row is accepted and usable; nothing is held back here. An id counts as arrived with its first version,
whatever became of it later.
"""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import store
from pipelines.landing.extracts import kept, moved_versions, of_partitions
from pipelines.storage.hashing import logical_sha256, subject_key
from schemas.entities import ENTITIES, Entity
from schemas.registry import LAKE

CONTRACT = LAKE["unresolved_references"]
#: What is blocked when a row of the entity waits.
MONEY = {"transactions": "net_minor", "customer_events": "value_minor"}


def unresolved(tenant: Tenant) -> pl.DataFrame:
    """Every waiting reference of the published latest rows, with the columns of ``unresolved_references``."""
    dated = [_dated(tenant, entity) for entity in ENTITIES.values() if entity.partitioned and entity.references]
    others = [_waiting_rows(tenant, entity) for entity in ENTITIES.values() if not entity.partitioned]
    parts = [part for part in (*dated, *others) if part.height]
    if not parts:
        return CONTRACT.empty()
    waiting = pl.concat(parts).unique(list(CONTRACT.primary_key), keep="any")
    return waiting.select(CONTRACT.names)


def _waiting_rows(tenant: Tenant, entity: Entity) -> pl.DataFrame:
    """Of an entity without days, which is small enough to be looked through."""
    known = {target: _known(tenant, target) for _, target, _ in entity.references}
    rows = _opened(tenant.lake.scan(entity.name), entity)
    parts = [rows_of.join(known[target].lazy(), on="key", how="anti") for target, rows_of in rows]
    waiting = pl.concat([_nothing(), *(part.collect(engine="streaming") for part in parts)])
    versions = store.scan(tenant, entity.name).join(
        waiting.lazy().select("row_id").unique(), left_on="external_id", right_on="row_id", how="semi"
    )
    firsts = versions.group_by(row_id="external_id").agg(pl.col("order_at").min().alias("first"))
    return _since(waiting, firsts.collect(engine="streaming"), "row_id")


def _dated(tenant: Tenant, entity: Entity) -> pl.DataFrame:
    """Of an entity with days: only what is named is compared, and only partitions that still wait are opened."""
    named = of_partitions(tenant, entity.name, "named", partial(_named, entity)).collect()
    missing = named.join(
        pl.concat([_known(tenant, name).with_columns(target_entity=pl.lit(name)) for name in _targets(entity)]),
        on=["target_entity", "key"],
        how="anti",
    )
    files = tenant.lake.files(entity.name)
    sources = {}
    for (day,), keys in missing.sort("target_entity", "key").partition_by("date", as_dict=True).items():
        # The name says what was asked, so that the rows are looked for again only when that or the file differs.
        stem = f"{day}-{PurePosixPath(files[day]).stem}-{logical_sha256(keys)[:16]}"
        sources[stem] = tenant.lake.scan(entity.name, [day])
    every = missing.select("target_entity", "key").unique()
    folder = tenant.state / "extracts" / entity.name / "waiting"
    schema = tenant.lake.scan(entity.name, []).collect_schema()
    found = kept(folder, sources, lambda rows: _rows_named(rows, entity, every), schema).collect()
    # A version's weight hides its instant behind its id.
    moved = moved_versions(tenant, entity.name).select("id_key", first=pl.col("weight") ^ pl.col("id_key"))
    firsts = moved.group_by("id_key").agg(pl.col("first").min().cast(pl.Datetime("us", "UTC")))
    return _since(found.with_columns(subject_key("row_id").alias("id_key")), firsts, "id_key")


def _named(entity: Entity, rows: pl.LazyFrame) -> pl.LazyFrame:
    """date, target_entity and key of everything that the rows of a partition name, once."""
    parts = [part.select("date", "target_entity", "key") for _, part in _opened(rows, entity)]
    return pl.concat(parts).unique()


def _rows_named(rows: pl.LazyFrame, entity: Entity, missing: pl.DataFrame) -> pl.LazyFrame:
    parts = [part for _, part in _opened(rows, entity)]
    return pl.concat(parts).join(missing.lazy(), on=["target_entity", "key"], how="semi").select(_nothing().columns)


def _opened(rows: pl.LazyFrame, entity: Entity) -> list[tuple[str, pl.LazyFrame]]:
    """Target entity, and ``_ROW`` of every row that names one, for each field of an entity that is a reference."""
    money = MONEY.get(entity.name)
    found = []
    for column, target, key in entity.references:
        named = rows.filter(pl.col(column).is_not_null())
        listed = _is_list(entity, column)
        opened = named.with_columns(_ids(entity, column, key) if listed else pl.col(column).alias("_target"))
        parts = (opened.explode("_target") if listed else opened).filter(pl.col("_target").is_not_null())
        found.append(
            (
                target,
                parts.select(
                    pl.lit(entity.name).alias("entity"),
                    pl.col("external_id").alias("row_id"),
                    pl.lit(f"{column}.{key}" if key else column).alias("field"),
                    pl.lit(target).alias("target_entity"),
                    pl.col("_target").alias("target_id"),
                    pl.col(entity.ordered_by).alias("since"),
                    (pl.col("date") if entity.partitioned else pl.lit(None, dtype=pl.Date)).alias("date"),
                    (pl.col(money) if money else pl.lit(None, dtype=pl.Int64)).alias("blocked_minor"),
                    (pl.col("currency") if money else pl.lit(None, dtype=pl.String)).alias("currency"),
                ).with_columns(subject_key("target_id").alias("key")),
            )
        )
    return found


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={**CONTRACT.empty().schema, "key": pl.Int64()}).select(*CONTRACT.names, "key")


def _targets(entity: Entity) -> list[str]:
    return sorted({target for _, target, _ in entity.references})


def _known(tenant: Tenant, target: str) -> pl.DataFrame:
    """``key`` of every id of which a version has arrived."""
    return store.scan(tenant, target).select(key="id_key").unique().collect(engine="streaming")


def _since(waiting: pl.DataFrame, firsts: pl.DataFrame, on: str) -> pl.DataFrame:
    """The instant of each waiting row's first version; a row with one version has only its own."""
    joined = waiting.join(firsts, on=on, how="left")
    return joined.with_columns(pl.min_horizontal("since", "first").alias("since")).select(CONTRACT.names)


def _is_list(entity: Entity, column: str) -> bool:
    return LAKE[entity.name][column].kind == "json"


def _ids(entity: Entity, column: str, key: str | None) -> pl.Expr:
    """Ids in a JSON list: its strings, or one key of its objects."""
    if key is None:
        return pl.col(column).str.json_decode(pl.List(pl.String())).alias("_target")
    objects = pl.col(column).str.json_decode(pl.List(pl.Struct({key: pl.String()})))
    return objects.list.eval(pl.element().struct.field(key)).alias("_target")
