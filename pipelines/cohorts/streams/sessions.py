"""What a session came to by each view: how many products, how often one of them, and how many adds before."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import local_date


def with_sessions(views: pl.DataFrame, adds: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """Add ``session_products``, ``session_repeats`` and ``session_adds``: of the session so far, the view included.

    Of a session that lasts longer only the day of the view and the one before count, so that the answer does not
    depend on how far back one looks; a view without a session is a session of its own.

    Args:
        views: rows of ``view`` with ``session_id`` and ``product_id``, from the day before the first one that matters.
        adds: rows of ``add`` with the same fields.
        zone: of the tenant.
    """
    session = ["subject", "session_id", "day"]
    shared = ["subject", "session_id", "product_id", "at", "weight"]
    day = local_date(pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC"), zone).alias("day")
    parts = [rows.select(*shared, pl.lit(act).alias("act"), day) for act, rows in (("view", views), ("add", adds))]
    own = pl.concat(parts).drop_nulls("session_id").with_columns(pl.lit(True).alias("own"))
    tomorrow = own.with_columns((pl.col("day") + pl.duration(days=1)).alias("day"), pl.lit(False).alias("own"))
    acts = pl.concat([own, tomorrow.join(own.select(session).unique(), on=session, how="semi")])
    path = acts.join(own.filter(pl.col("act") == "view").select(session).unique(), on=session, how="semi")
    viewed = pl.col("act") == "view"
    product = [*session, "product_id"]
    again = path.sort(*session, "at").with_columns(
        (viewed & (viewed.cast(pl.Int64).cum_sum().over(product) == 1)).alias("fresh"),
        pl.when(viewed).then(pl.when(viewed).then("weight").otherwise(0).cum_sum().over(product)).alias("times"),
    )
    names = ["session_products", "session_repeats", "session_adds"]
    counted = again.with_columns(
        pl.col("fresh").cast(pl.Int64).cum_sum().over(session).alias(names[0]),
        pl.col("times").cum_max().over(session).alias(names[1]),
        pl.when(pl.col("act") == "add").then("weight").otherwise(0).cum_sum().over(session).alias(names[2]),
    )
    # Of several acts at one instant the greatest of each says what they come to together.
    key = ["subject", "session_id", "at"]
    newest = counted.filter("own").group_by(key).agg(pl.col(names).max())
    found = views.join(newest, on=key, how="left", maintain_order="left")
    return found.with_columns(
        pl.col("session_products").fill_null(1),
        pl.col("session_repeats").fill_null(pl.col("weight")),
        pl.col("session_adds").fill_null(0),
    )
