"""Stock that arrives inside products: each entry of ``available_quantity`` is a measurement like any other."""

from __future__ import annotations

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.natural_key import natural_id
from pipelines.landing import store
from pipelines.storage.hashing import subject_key
from schemas.entities import ENTITIES

_ENTRY = pl.Struct(
    {
        "outlet_id": pl.String(),
        "group_id": pl.String(),
        "on_hand": pl.Int64(),
        "reserved": pl.Int64(),
        "available": pl.Int64(),
        "inbound_at": pl.String(),
        "inbound_qty": pl.Int64(),
        "measured_at": pl.String(),
    }
)


def stock_in_products(tenant: Tenant) -> pl.DataFrame:
    """Versions of ``stock_levels`` that product versions carry, with ``id_key`` and ``date``, in no order.

    An entry without ``measured_at`` was measured when its product was updated. One without an available quantity has
    what is on hand and not reserved.
    """
    carriers = (
        store.scan(tenant, "products")
        .filter(pl.col("available_quantity").is_not_null() & (pl.col("op") != "delete"))
        .select(pl.col("external_id").alias("product_id"), "order_at", "available_quantity")
        .unique()
        .collect(engine="streaming")
    )
    return entries(carriers).with_columns(
        local_date(pl.col("measured_at"), tenant.zone).alias("date"), subject_key("external_id").alias("id_key")
    )


def entries(carriers: pl.DataFrame) -> pl.DataFrame:
    """Stock versions from (product_id, order_at, available_quantity): what ``fold`` needs of ``stock_levels``."""
    entity = ENTITIES["stock_levels"]
    entry = pl.col("available_quantity").struct
    opened = (
        carriers.with_columns(pl.col("available_quantity").str.json_decode(pl.List(_ENTRY)))
        .explode("available_quantity")
        .filter(pl.col("available_quantity").is_not_null())
        .select("product_id", "order_at", *(entry.field(name) for name in _ENTRY.to_schema()))
    )
    measured = opened.with_columns(
        pl.coalesce(_instant("measured_at"), "order_at").alias("measured_at"),
        _instant("inbound_at").alias("inbound_at"),
        pl.coalesce("available", pl.col("on_hand") - pl.col("reserved").fill_null(0)).alias("available"),
    )
    return measured.select(
        pl.col("measured_at").alias("order_at"),
        pl.lit("upsert").alias("op"),
        pl.lit(None, dtype=pl.String).alias("patch_fields"),
        natural_id(entity).alias("external_id"),
        pl.lit(None, dtype=pl.String).alias("attributes"),
        *(column.name for column in entity.columns),
    ).select("order_at", "op", "patch_fields", *(column.name for column in entity.stored))


def _instant(name: str) -> pl.Expr:
    return pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
