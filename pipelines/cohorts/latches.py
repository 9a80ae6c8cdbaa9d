"""From points where a condition is set or cleared to pieces of membership, and from pieces of carts to a visitor's.

A piece is ``(start, end]``: it begins at the instant at which the condition came true and includes the one at which it
ended. Pieces of one subject that overlap or touch are one.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_state import INF

BEFORE = -INF


def pieces(points: pl.DataFrame, spells: pl.DataFrame) -> pl.DataFrame:
    """Fold set and clear points into pieces.

    Args:
        points: ``spell``, ``at``, ``on`` (Boolean, null changes nothing), ``cause``; at most one point per spell and
            instant, or a clear before a set.
        spells: ``spell``, ``was_on``, ``exit_at``, ``exit_cause``.

    Returns:
        ``spell``, ``start`` (``BEFORE`` when it began before the day), ``end`` (``INF`` when it goes on),
        ``start_cause``, ``end_cause``, sorted by spell and start; nothing of no length.
    """
    carried = spells.filter("was_on").select(
        "spell", pl.lit(BEFORE).alias("at"), pl.lit(True).alias("on"), pl.lit(None, dtype=pl.String).alias("cause")
    )
    known = points.filter(pl.col("on").is_not_null()).select(carried.columns)
    path = pl.concat([carried, known]).sort("spell", "at", "on")
    same = pl.col("spell") == pl.col("spell").shift(1)
    previous = pl.when(same.fill_null(False)).then(pl.col("on").shift(1)).otherwise(False)
    changes = path.filter(pl.col("on") != previous)
    next_same = (pl.col("spell") == pl.col("spell").shift(-1)).fill_null(False)
    ended = changes.with_columns(
        pl.when(next_same).then(pl.col("at").shift(-1)).alias("off_at"),
        pl.when(next_same).then(pl.col("cause").shift(-1)).alias("off_cause"),
    ).filter("on")
    found = ended.join(spells.select("spell", "exit_at", "exit_cause"), on="spell", maintain_order="left")
    first = (pl.col("off_at") < pl.col("exit_at")).fill_null(False)
    return found.select(
        "spell",
        pl.col("at").alias("start"),
        pl.when(first).then("off_at").otherwise("exit_at").alias("end"),
        pl.col("cause").alias("start_cause"),
        pl.when(first).then("off_cause").otherwise("exit_cause").alias("end_cause"),
    ).filter(pl.col("start") < pl.col("end"))


@dataclass(frozen=True)
class Union:
    """Pieces of subjects.

    Attributes:
        merged: ``piece`` (place in the frame), ``cohort``, ``owner``, ``start``, ``end``, ``start_cause``,
            ``end_cause``, sorted by cohort, owner and start.
        parts: the pieces of carts that they are made of, with ``piece``.
    """

    merged: pl.DataFrame
    parts: pl.DataFrame


def union(found: pl.DataFrame) -> Union:
    """Merge a subject's pieces where they overlap or touch.

    Args:
        found: ``cohort``, ``owner``, ``cart``, ``start``, ``end``, ``start_cause``, ``end_cause`` and more.

    Returns:
        A cause is that of the piece that begins first or ends last, ties by cart.
    """
    changed = (pl.col("cohort") != pl.col("cohort").shift(1)) | (pl.col("owner") != pl.col("owner").shift(1))
    rows = found.sort("cohort", "owner", "start", "cart").with_columns(changed.fill_null(True).alias("fresh"))
    rows = rows.with_columns((pl.col("fresh") & pl.col("fresh").shift(-1, fill_value=True)).alias("alone"))
    many = rows.with_row_index("place").filter(~pl.col("alone"))
    many = many.with_columns(pl.col("fresh").cast(pl.Int64).cum_sum().alias("group"))
    reach = pl.col("end").cum_max().over("group").shift(1)
    apart = many.filter(pl.col("fresh") | (pl.col("start") > reach))["place"]
    begins = rows.select("alone").to_series().scatter(apart, True)
    parts = rows.drop("fresh").with_columns((begins.cast(pl.Int64).cum_sum() - 1).alias("piece"))
    columns = ["piece", "cohort", "owner", "start", "end", "start_cause", "end_cause"]
    merged = (
        parts.filter(~pl.col("alone"))
        .sort("piece", "end", "cart", descending=[False, True, False])
        .group_by("piece", maintain_order=True)
        .agg(
            pl.col("cohort", "owner").first(),
            pl.col("start").min(),
            pl.col("end").first(),
            pl.col("start_cause").sort_by("start", "cart").first(),
            pl.col("end_cause").first(),
        )
    )
    together = pl.concat([parts.filter("alone").select(columns), merged.select(columns)])
    return Union(together.sort("piece"), parts.drop("alone"))
