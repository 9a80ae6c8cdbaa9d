"""Stock of a product over its places through a day: the last measurement of each place, added up as ``places`` says.

A measurement holds until the next one at its place.
"""

from __future__ import annotations

import polars as pl

from pipelines.facts.places import PLACE, total_changes

COLUMNS = (*PLACE, "measured_at", "external_id", "available")


def last_by_place(measured: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """The newest measurement of each place, from ``COLUMNS``; one without a quantity says nothing."""
    rows = measured.lazy().filter(pl.col("available").is_not_null() & pl.col("product_id").is_not_null())
    newest = [pl.col(name).sort_by("measured_at", "external_id").last() for name in COLUMNS[len(PLACE) :]]
    kept = rows.group_by(PLACE).agg(newest)
    return kept.select(COLUMNS).collect(engine="streaming")


def on_day(before: pl.DataFrame, today: pl.DataFrame, inside: pl.DataFrame) -> pl.DataFrame:
    """Stock of each product ever measured: product_id, ``in_stock`` Boolean, ``available_end`` Int64 thousandths.

    ``in_stock`` says that the total was above zero when the day began or after any of its measurements.

    Args:
        before: ``last_by_place`` of all earlier days.
        today: ``COLUMNS`` of the day.
        inside: ``places.containment``.
    """
    known = today.filter(pl.col("available").is_not_null() & pl.col("product_id").is_not_null())
    running = total_changes(before, known, inside).with_columns(
        pl.col("change").cum_sum().over("product_id").alias("total")
    )
    return running.group_by("product_id").agg(
        (pl.col("total") > 0).any().alias("in_stock"), pl.col("total").last().alias("available_end")
    )
