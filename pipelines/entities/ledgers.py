"""The ledgers of what was received, from the receipts of landing: batches, their days, and refused rows."""

from __future__ import annotations

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import store
from schemas.entities import ENTITIES
from schemas.registry import LAKE

COUNTS = ("received", "accepted", "duplicate", "superseded", "quarantined")


def batches(tenant: Tenant) -> pl.DataFrame:
    """Every committed batch with its counts, in the columns of ``batches``."""
    rows = [receipt for name in ENTITIES for receipt in store.receipts(tenant, name)]
    schema = LAKE["batches"].schema
    own = pl.DataFrame(rows, schema={name: dtype for name, dtype in schema.items() if name != "replayed"})
    moved = own.drop_nulls("replay_of").group_by("entity", batch_id="replay_of").agg(replayed=pl.col("received").sum())
    # A file that was refused whole was received as one row, however many its replay found in it.
    known = pl.when(pl.col("file_reason").is_null()).then("replayed").otherwise(pl.col("replayed").clip(0, 1))
    counted = own.join(moved, on=["entity", "batch_id"], how="left").with_columns(known.fill_null(0).alias("replayed"))
    return counted.select(schema.names())


def batch_partitions(tenant: Tenant) -> pl.DataFrame:
    """The counts of every committed batch by tenant day, in the columns of ``batch_partitions``."""
    rows = [
        {
            "entity": name,
            "batch_id": receipt.batch_id,
            "day": partition.date,
            **{count: getattr(partition, count) for count in COUNTS},
        }
        for name in ENTITIES
        for receipt in store.committed(tenant, name)
        for partition in receipt.partitions
    ]
    return pl.DataFrame(rows, schema=LAKE["batch_partitions"].schema)


def quarantine(tenant: Tenant) -> pl.DataFrame:
    """Every refused row of a committed batch, in the columns of ``quarantine``."""
    return pl.concat([store.quarantine(tenant, name) for name in ENTITIES])
