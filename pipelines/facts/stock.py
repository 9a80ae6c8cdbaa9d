"""Stock of a product over all its places through a day: the last measurement of each place, added up.

A place is an outlet, a group, or the whole tenant where neither is named; a measurement holds until the next one there.
"""

from __future__ import annotations

import polars as pl

PLACE = ("product_id", "outlet_id", "group_id")
COLUMNS = (*PLACE, "measured_at", "external_id", "available")


def last_by_place(measured: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """The newest measurement of each place, from ``COLUMNS``; one without a quantity says nothing."""
    rows = measured.lazy().filter(pl.col("available").is_not_null() & pl.col("product_id").is_not_null())
    newest = [pl.col(name).sort_by("measured_at", "external_id").last() for name in COLUMNS[len(PLACE) :]]
    kept = rows.group_by(PLACE).agg(newest)
    return kept.select(COLUMNS).collect(engine="streaming")


def on_day(before: pl.DataFrame, today: pl.DataFrame) -> pl.DataFrame:
    """Stock of each product ever measured: product_id, ``in_stock`` Boolean, ``available_end`` Int64 thousandths.

    ``in_stock`` says that the sum over places was above zero when the day began or after any of its measurements.

    Args:
        before: ``last_by_place`` of all earlier days.
        today: ``COLUMNS`` of the day.
    """
    known = today.filter(pl.col("available").is_not_null() & pl.col("product_id").is_not_null())
    # A sender may give one measurement two ids; the greater id counts, here as in ``last_by_place``.
    once = known.sort("external_id").unique([*PLACE, "measured_at"], keep="last", maintain_order=True)
    measured = once.select(COLUMNS)
    start = before.select(COLUMNS).with_columns(pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("measured_at"))
    # A place's change against its previous measurement turns sums over places into one running sum per product.
    steps = pl.concat([start, measured]).sort(*PLACE, "measured_at", nulls_last=False)
    same_place = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in PLACE)
    previous = pl.when(same_place.fill_null(False)).then(pl.col("available").shift(1)).otherwise(0)
    changes = steps.with_columns((pl.col("available") - previous).alias("change"))
    moments = changes.group_by("product_id", "measured_at").agg(pl.col("change").sum())
    running = moments.sort("product_id", "measured_at", nulls_last=False).with_columns(
        pl.col("change").cum_sum().over("product_id").alias("total")
    )
    return running.group_by("product_id").agg(
        (pl.col("total") > 0).any().alias("in_stock"), pl.col("total").last().alias("available_end")
    )
