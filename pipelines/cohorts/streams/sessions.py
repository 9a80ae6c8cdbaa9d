"""What a session came to by each view: how many products, how often one of them, and how many adds before."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from pipelines.cohorts.streams.visitors import Visitors


def with_sessions(source: Visitors, day: date, views: pl.DataFrame) -> pl.DataFrame:
    """Add ``session_products``, ``session_repeats`` and ``session_adds``: of the session so far, the view included.

    A session that began the day before is counted from its begin; a view without a session is a session of its own.

    Args:
        source: visitors' tables.
        day: the day of the views.
        views: rows of ``view`` with ``session_id``.
    """
    session = ["subject", "session_id"]
    acts = pl.concat([_acts(source, each) for each in (day - timedelta(days=1), day)])
    path = acts.join(views.select(session).drop_nulls().unique(), on=session, how="semi").sort(*session, "at")
    viewed = pl.col("act") == "view"
    product = [*session, "product_id"]
    again = path.with_columns(
        (viewed & (viewed.cast(pl.Int64).cum_sum().over(product) == 1)).alias("fresh"),
        pl.when(viewed).then(pl.when(viewed).then("weight").otherwise(0).cum_sum().over(product)).alias("times"),
    )
    counted = again.with_columns(
        pl.col("fresh").cast(pl.Int64).cum_sum().over(session).alias("session_products"),
        pl.col("times").cum_max().over(session).alias("session_repeats"),
        pl.when(pl.col("act") == "add").then("weight").otherwise(0).cum_sum().over(session).alias("session_adds"),
    )
    # Of several acts at one instant the last row says what they come to together.
    newest = counted.select(
        *session, "at", pl.col("session_products", "session_repeats", "session_adds").max().over(*session, "at")
    ).unique([*session, "at"], keep="last", maintain_order=True)
    found = views.join(newest, on=[*session, "at"], how="left", maintain_order="left")
    return found.with_columns(
        pl.col("session_products").fill_null(1),
        pl.col("session_repeats").fill_null(pl.col("weight")),
        pl.col("session_adds").fill_null(0),
    )


def _acts(source: Visitors, day: date) -> pl.DataFrame:
    parts = []
    for stream in ("view", "add"):
        rows = source.rows(stream, {"session_id", "product_id"}, day, day)
        parts.append(rows.select("subject", "session_id", "product_id", "at", "weight", pl.lit(stream).alias("act")))
    return pl.concat(parts).drop_nulls("session_id")
