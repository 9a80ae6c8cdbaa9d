"""Opt-outs that customers carry: an entry of ``consents`` that says yes or no is an opt-in or opt-out like others."""

from __future__ import annotations

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import store
from pipelines.storage.hashing import identifiers
from schemas.entities import ENTITIES

_FIELDS = ("channel", "status", "updated_at", "source", "campaign_id")
_ENTRY = pl.Struct(dict.fromkeys(_FIELDS, pl.String()))
_ACTIONS = {"opted_in": "opt_in", "opted_out": "opt_out"}


def opt_outs_in_customers(tenant: Tenant) -> pl.DataFrame:
    """Versions of ``opt_outs`` that customer versions carry, with the columns that ``fold`` needs, in no order."""
    carriers = (
        store.scan(tenant, "customers")
        .filter(pl.col("consents").is_not_null() & (pl.col("op") != "delete"))
        .select(pl.col("external_id").alias("customer_id"), "order_at", "consents")
        .unique()
        .collect(engine="streaming")
    )
    return entries(carriers)


def entries(carriers: pl.DataFrame) -> pl.DataFrame:
    """Opt-outs from (customer_id, order_at, consents): what ``fold`` needs of ``opt_outs``.

    An entry without ``updated_at`` was said when its customer was updated; one whose status is unknown says nothing.
    Its id is the hash of customer, channel, campaign and instant, so that a consent that is repeated is one row.
    """
    entity = ENTITIES["opt_outs"]
    entry = pl.col("consents").struct
    said = (
        carriers.with_columns(pl.col("consents").str.json_decode(pl.List(_ENTRY)))
        .explode("consents")
        .select("customer_id", "order_at", *(entry.field(name) for name in _FIELDS))
        .filter(pl.col("status").is_in(list(_ACTIONS)) & pl.col("channel").is_not_null())
    )
    instant = pl.col("updated_at").str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    dated = said.with_columns(pl.coalesce(instant, "order_at").alias("occurred_at"))
    key = [pl.col("customer_id"), pl.col("channel"), pl.col("campaign_id").fill_null("")]
    made = dated.select(
        pl.col("occurred_at").alias("order_at"),
        pl.lit("upsert").alias("op"),
        identifiers([pl.lit("consent"), *key, pl.col("occurred_at").dt.timestamp("us").cast(pl.String)]).alias(
            "external_id"
        ),
        pl.col("occurred_at").alias("updated_at"),
        "customer_id",
        "channel",
        pl.when(pl.col("campaign_id").is_null()).then(pl.lit("all")).otherwise(pl.lit("campaign")).alias("scope"),
        "campaign_id",
        pl.col("status").replace_strict(_ACTIONS, return_dtype=pl.String).alias("action"),
        pl.lit("preference_centre").alias("reason"),
        "source",
        "occurred_at",
    )
    missing = {name: dtype for name, dtype in entity.schema().items() if name not in made.columns}
    whole = made.with_columns(
        pl.lit(None, pl.String).alias("patch_fields"), *(pl.lit(None, dtype).alias(n) for n, dtype in missing.items())
    )
    return whole.select("order_at", "op", "patch_fields", *(column.name for column in entity.stored))
