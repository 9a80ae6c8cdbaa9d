"""Rows of ``cart_activity`` as the steps that ``cart_presence`` folds."""

from __future__ import annotations

import polars as pl

from pipelines.facts.cart_presence import ADD, REMOVE, Steps
from pipelines.storage.hashing import subject_key


def keyed(rows: pl.LazyFrame) -> pl.DataFrame:
    """Steps of some days in the order of the table.

    Args:
        rows: ``cart_activity``.

    Returns:
        ``cart``, ``visitor`` and ``product`` (keys), ``at`` in microseconds, ``step``, ``product_id``, ``quantity``.
    """
    named = rows.with_columns(pl.concat_str("flockr_vid", "cart_key", separator="\x1f").alias("cart"))
    return named.select(
        subject_key("cart"),
        subject_key("flockr_vid").alias("visitor"),
        subject_key("product_id").alias("product"),
        pl.col("occurred_at").dt.epoch("us").alias("at"),
        "step",
        "product_id",
        "quantity",
    ).collect()


def steps(rows: pl.DataFrame) -> Steps:
    """What ``keyed`` gave as arrays."""
    move = pl.col("step").replace_strict({"add": ADD, "remove": REMOVE}, default=0, return_dtype=pl.Int64)
    columns = rows.select(
        "cart",
        "visitor",
        "at",
        pl.when(pl.col("product_id").is_not_null()).then(move).otherwise(0).alias("move"),
        (pl.col("step") == "order").alias("ends"),
        pl.col("product").fill_null(0),
        "quantity",
    )
    return Steps(*(column.to_numpy() for column in columns.iter_columns()))
