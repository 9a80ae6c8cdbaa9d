"""What a session came to by a view: how many products, how often one of them, and how many adds before."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import local_date

#: Fields of a view that say what its session came to so far.
FIELDS = ("session_products", "session_repeats", "session_adds")


def with_sessions(rows: pl.DataFrame, views: pl.DataFrame, adds: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """Add ``FIELDS`` to some views: of the session so far, the view included.

    Of a session that lasts longer only the day of the view and the one before count, so that the answer does not
    depend on how far back one looks; a view without a session is a session of its own.

    Args:
        rows: the views that are asked about: ``subject``, ``at``, ``session_id``, ``weight``.
        views: every ``view`` with ``session_id`` and ``product_id``, from the day before the first one asked about.
        adds: every ``add`` with the same fields.
        zone: of the tenant.
    """
    session = ["subject", "session_id"]
    asked = rows.select(*session, "at").drop_nulls().unique().with_row_index("row")
    acts = []
    for name, every in (("view", views), ("add", adds)):
        known = every.select(*session, "product_id", "weight", pl.col("at").alias("acted_at"))
        pairs = asked.join(known, on=session).filter(pl.col("acted_at") <= pl.col("at"))
        before = _day("at", zone) - pl.duration(days=1)
        acts.append(pairs.filter(_day("acted_at", zone) >= before).with_columns(pl.lit(name).alias("act")))
    seen, added = acts
    each = seen.group_by("row", "product_id").agg(pl.col("weight").sum())
    products = each.group_by("row").agg(
        pl.len().cast(pl.Int64).alias(FIELDS[0]), pl.col("weight").max().alias(FIELDS[1])
    )
    put = added.group_by("row").agg(pl.col("weight").sum().alias(FIELDS[2]))
    told = asked.join(products, on="row", how="left").join(put, on="row", how="left").drop("row")
    found = rows.join(told, on=[*session, "at"], how="left", maintain_order="left")
    return found.with_columns(
        pl.col(FIELDS[0]).fill_null(1), pl.col(FIELDS[1]).fill_null(pl.col("weight")), pl.col(FIELDS[2]).fill_null(0)
    )


def _day(column: str, zone: ZoneInfo) -> pl.Expr:
    return local_date(pl.from_epoch(column, time_unit="us").dt.replace_time_zone("UTC"), zone)
