"""The trading date of a transaction that does not say its own: the calendar date where it happened."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import known_zone, local_date
from pipelines.entities.history import join_as_of


def with_business_date(transactions: pl.DataFrame, outlets: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """Fill ``business_date`` where it is null from the zone that the outlet had at ``occurred_at``, else the tenant's.

    Args:
        transactions: with ``occurred_at``, ``outlet_id`` and ``business_date``.
        outlets: ``outlets_history``.
        zone: the tenant's zone, for rows without a known outlet.
    """
    if transactions.is_empty():
        return transactions
    known = join_as_of(transactions, outlets, key="outlet_id", instant="occurred_at", columns=["timezone"], prefix="_")
    local = local_date(pl.col("occurred_at"), zone)
    for name in known["_timezone"].drop_nulls().unique().sort():
        if known_zone(name):
            local = (
                pl.when(pl.col("_timezone") == name)
                .then(local_date(pl.col("occurred_at"), ZoneInfo(name)))
                .otherwise(local)
            )
    return known.with_columns(pl.coalesce("business_date", local).alias("business_date")).drop("_timezone")
