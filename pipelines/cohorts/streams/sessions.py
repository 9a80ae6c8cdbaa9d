"""What a session came to by each view: how many products, how often one of them, and how many adds before."""

from __future__ import annotations

import polars as pl


def with_sessions(views: pl.DataFrame, adds: pl.DataFrame) -> pl.DataFrame:
    """Add ``session_products``, ``session_repeats`` and ``session_adds``: of the session so far, the view included.

    A view without a session is a session of its own.

    Args:
        views: rows of ``view`` with ``session_id`` and ``product_id``, from the begin of their sessions on.
        adds: rows of ``add`` with the same fields.
    """
    session = ["subject", "session_id"]
    shared = [*session, "product_id", "at", "weight"]
    parts = [rows.select(*shared, pl.lit(act).alias("act")) for act, rows in (("view", views), ("add", adds))]
    acts = pl.concat(parts).drop_nulls("session_id")
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
