"""Versions of an entity folded into its states, field by field.

The order of versions is (instant, rank of the operation, hash of the record), never arrival. Reading versions is the
landing's part; where a row is published is decided in ``dated`` and ``dimensions``.
"""

from __future__ import annotations

import polars as pl

from pipelines.landing.canonical import version_hash
from schemas.entities.envelope import OP_RANK, Entity

#: What a fold needs of a version beside the entity's stored columns.
SYSTEM = ("order_at", "op", "patch_fields")


def states(versions: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """The record as it stood after each version.

    An upsert replaces the whole record, a patch sets only the fields it names, a delete leaves nothing but the id, and
    what follows a delete starts from nothing.

    Args:
        versions: ``order_at``, ``op``, ``patch_fields`` (JSON list, null unless a patch) and the stored columns.
        entity: the contract of the versions.

    Returns:
        The stored columns with ``order_at`` Datetime(us, UTC), ``is_deleted`` Boolean and ``version_hash`` String; the
        rows of an id stand together in version order, and a version that was sent twice stands there once.
    """
    hashed = versions.with_columns(version_hash(entity.stored).alias("version_hash"))
    repeated = pl.col("external_id").is_duplicated()
    alone = _folded(hashed.filter(~repeated), entity)
    several = _folded(_in_version_order(hashed.filter(repeated)), entity)
    return pl.concat([alone, several])


def newest(folded: pl.DataFrame) -> pl.DataFrame:
    """The last state of each id that is not deleted, from the result of ``states``."""
    last = pl.col("external_id").ne_missing(pl.col("external_id").shift(-1))
    return folded.filter(last).filter(~pl.col("is_deleted"))


def latest(versions: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """Newest state of each id that is not deleted: the entity's stored columns, in no order.

    An id with one version needs no hash and no fold, which is nearly every row of a large table.
    """
    repeated = pl.col("external_id").is_duplicated()
    names = [column.name for column in entity.stored]
    alone = versions.filter(~repeated & (pl.col("op") != "delete")).select(names)
    several = versions.filter(repeated)
    if several.is_empty():
        return alone
    return pl.concat([alone, newest(states(several, entity)).select(names)])


def _folded(ordered: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    deleted = pl.col("op") == "delete"
    first = pl.col("external_id").ne_missing(pl.col("external_id").shift(1))
    marked = ordered.with_columns(
        (first | (pl.col("op") != "patch")).alias("_starts"),
        deleted.alias("is_deleted"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
    )
    values = [column.name for column in entity.stored if column.name != "external_id"]
    cleared = marked.with_columns(pl.when(deleted).then(None).otherwise(pl.col(name)).alias(name) for name in values)
    folded = cleared.with_columns(_carried(name, name == entity.ordered_by) for name in values)
    return folded.select("external_id", *values, "order_at", "is_deleted", "version_hash")


def _in_version_order(versions: pl.DataFrame) -> pl.DataFrame:
    ranked = versions.with_columns(pl.col("op").replace_strict(OP_RANK, return_dtype=pl.Int64).alias("_rank"))
    # Two patches with equal values may name different fields (one clears what the other leaves), so names decide last.
    order = ["external_id", "order_at", "_rank", "version_hash", "patch_fields"]
    ordered = ranked.sort(order, nulls_last=False)
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in order)
    return ordered.filter(~same.fill_null(False))


def _carried(name: str, always: bool) -> pl.Expr:
    """Value of the last version that sets the field, since the version at which the record started."""
    named = pl.col("patch_fields").str.contains(f'"{name}"', literal=True).fill_null(False)
    sets = pl.col("_starts") | (pl.col(name).is_not_null() if always else named)
    source = pl.when(sets).then(pl.col("_row")).forward_fill()
    return pl.col(name).gather(source).alias(name)
