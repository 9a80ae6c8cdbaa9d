"""What products are in valid time, as steps: their category and their price, and the price that a new one is held to.

A version is seen after its instant; the first one holds from the beginning, so that a late product explains old days.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.facts.early import first_named
from pipelines.signals.catalogue import Price, Signal, signals
from pipelines.signals.units import DAY
from pipelines.storage.hashing import subject_key

#: Before any instant, and no price or reference.
BEGINNING = int(np.iinfo(np.int64).min)
NONE = -1
STEPS = {
    "product_id": pl.String,
    "at": pl.Int64,
    "category": pl.Int64,
    "price": pl.Int64,
    "low": pl.Int64,
    "repriced": pl.Boolean,
}


def steps(history: pl.DataFrame, lookback: int) -> pl.DataFrame:
    """Versions of products as ``STEPS``, sorted by product and instant.

    Args:
        history: ``products_history``: external_id, category_path, price_minor, currency, effective_from,
            effective_to, is_deleted.
        lookback: microseconds before a price began whose lowest price is its reference.

    Returns:
        ``at`` (``BEGINNING`` for the first), ``category`` (key, 0 for none), ``price`` in minor units (``NONE`` while
        deleted), ``low``: the lowest price in effect in the ``lookback`` before ``at``, of the same currency, ``NONE``
        where there is none; ``repriced``: price or currency differ from the version before.
    """
    held = history.filter((pl.col("effective_to") > pl.col("effective_from")).fill_null(True))
    gone = pl.col("is_deleted").fill_null(False)
    rows = held.select(
        pl.col("external_id").alias("product_id"),
        pl.col("effective_from").dt.epoch("us").alias("at"),
        pl.when(~gone).then(subject_key("category_path")).fill_null(0).alias("category"),
        pl.when(~gone).then("price_minor").fill_null(NONE).alias("price"),
        pl.when(~gone).then("currency").fill_null("").alias("currency"),
    ).sort("product_id", "at")
    same = (pl.col("product_id") == pl.col("product_id").shift(1)).fill_null(False)
    moved = (pl.col("price") != pl.col("price").shift(1)) | (pl.col("currency") != pl.col("currency").shift(1))
    rows = rows.with_columns((same & moved).fill_null(False).alias("repriced"))
    lowest = _lowest(rows.filter(~same | pl.col("repriced")), lookback)
    joined = rows.join(lowest, on=["product_id", "at"], how="left", maintain_order="left")
    first = pl.when(same).then("at").otherwise(BEGINNING)
    return joined.with_columns(first.alias("at"), pl.col("low").fill_null(NONE)).select(list(STEPS))


def _lowest(prices: pl.DataFrame, lookback: int) -> pl.DataFrame:
    """``low`` of each price by ``product_id`` and ``at``; prices are sorted by both."""
    following = (pl.col("product_id") == pl.col("product_id").shift(-1)).fill_null(False)
    spans = prices.with_columns(pl.when(following).then(pl.col("at").shift(-1)).alias("to"))
    changed = prices.filter("repriced").select("product_id", "currency", pl.col("at").alias("when"))
    pairs = changed.join(spans.filter(pl.col("price") >= 0), on=["product_id", "currency"])
    within = pairs.filter((pl.col("at") < pl.col("when")) & (pl.col("to") > pl.col("when") - lookback))
    lowest = within.group_by("product_id", "when").agg(pl.col("price").min().alias("low"))
    return lowest.rename({"when": "at"})


def read(tenant: Tenant, lookback: int) -> pl.DataFrame:
    """``steps`` of a tenant's products."""
    columns = ("external_id", "category_path", "price_minor", "currency", "effective_from", "effective_to")
    return steps(tenant.lake.scan("products_history").select(*columns, "is_deleted").collect(), lookback)


def told(tenant: Tenant, found: pl.DataFrame) -> dict[date, str]:
    """By day: a text that changes with a step of a product that signals know by then.

    A step counts on its day, or where that is later on the day from which a table names the product: who is known has
    learned of it, and what follows is in the state.
    """
    at = pl.when(pl.col("at") > BEGINNING).then("at")
    day = local_date(pl.from_epoch(at, time_unit="us").dt.replace_time_zone("UTC"), tenant.zone)
    said = pl.concat_str("product_id", "at", "category", "price", "low", separator="\x1f")
    weighed = found.select(subject_key("product_id").alias("id"), day.alias("day"), said.alias("weight")).with_columns(
        subject_key("weight")
    )
    known = weighed.lazy().join(first_named(tenant), on="id")
    rows = known.select(pl.max_horizontal("date", "day").alias("date"), "weight").collect()
    return {each: str(total) for each, total in rows.group_by("date").agg(pl.col("weight").sum()).iter_rows()}


def used(tenant: Tenant) -> dict[date, str]:
    """``told`` of what is published now, with the lookback of the tenant's definition."""
    return told(tenant, read(tenant, lookback_of_prices(signals(tenant))))


def lookback_of_prices(definitions: Mapping[str, Signal]) -> int:
    """Microseconds before a price whose lowest price is its reference."""
    for signal in definitions.values():
        if isinstance(signal.measure, Price):
            return signal.param(signal.measure.lookback)
    return DAY
