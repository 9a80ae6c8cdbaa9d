"""When a cart holds a scarce product: presence of products in carts against the spans in which they are scarce.

A product is scarce at t when the newest crossing before t says so: spans are ``(from, to]``. A product is present
from the instant that put it in until the one that took it out: ``[from, to)``.
"""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.cart_timeline import Timeline
from pipelines.cohorts.latches import BEFORE
from pipelines.cohorts.spells import Spells


def scarce_spans(carried: pl.DataFrame, crossings: pl.DataFrame, states: tuple[str, ...]) -> pl.DataFrame:
    """Spans of a day in which products are in one of the states.

    Args:
        carried: products in one of them at the start: ``product_id``, ``state``.
        crossings: of the day, not suppressed: ``product_id``, ``to_state``, ``at``.
        states: the states.

    Returns:
        ``product_id``, ``state``, ``scarce_from`` (``BEFORE``: since before the day), ``scarce_to`` (``INF``: goes on).
    """
    start = carried.select("product_id", pl.col("state").alias("to_state"), pl.lit(BEFORE).alias("at"))
    path = pl.concat([start, crossings.select(start.columns)]).sort("product_id", "at")
    same = (pl.col("product_id") == pl.col("product_id").shift(-1)).fill_null(False)
    spans = path.select(
        "product_id",
        pl.col("to_state").alias("state"),
        pl.col("at").alias("scarce_from"),
        pl.when(same).then(pl.col("at").shift(-1)).otherwise(INF).alias("scarce_to"),
    )
    return spans.filter(pl.col("state").is_in(list(states)) & (pl.col("scarce_from") < pl.col("scarce_to")))


def scarce_presence(line: Timeline, spells: Spells, spans: pl.DataFrame) -> pl.DataFrame:
    """Products of open carts while they may be scarce.

    Returns:
        ``spell``, ``product_id``, ``state``, ``present_from``, ``present_to``, ``scarce_from``, ``scarce_to``; only
        pairs that have an instant in common.
    """
    scarce = spans.select("product_id").unique()
    touched = line.items.select("epoch", "at", "product_id", "quantity").join(scarce, on="product_id", how="semi")
    path = touched.unique(["epoch", "product_id", "at"], keep="last", maintain_order=True)
    same = (pl.col("epoch") == pl.col("epoch").shift(-1)) & (pl.col("product_id") == pl.col("product_id").shift(-1))
    moving = path.with_columns(
        pl.when(same.fill_null(False)).then(pl.col("at").shift(-1)).otherwise(INF).alias("present_to")
    )
    still = line.untouched.select("epoch", "at", "product_id", "quantity").join(scarce, on="product_id", how="semi")
    present = pl.concat([moving, still.with_columns(pl.lit(INF).alias("present_to"))]).filter(pl.col("quantity") > 0)
    placed = present.join(spells.rows.select("epoch", "at", "spell"), on=["epoch", "at"])
    pairs = placed.rename({"at": "present_from"}).join(spans, on="product_id")
    meets = (pl.col("present_from") <= pl.col("scarce_to")) & (pl.col("scarce_from") < pl.col("present_to"))
    return pairs.filter(meets).select(
        "spell", "product_id", "state", "present_from", "present_to", "scarce_from", "scarce_to"
    )


def scarce_at(presence: pl.DataFrame, moments: pl.DataFrame) -> pl.DataFrame:
    """Scarce products of a cart at given moments.

    Args:
        presence: what ``scarce_presence`` gave.
        moments: ``spell``, ``seen_at`` (the instant whose contents count), ``at`` (the instant whose stock counts).

    Returns:
        ``moments`` rows with ``product_id`` and ``state``, one row per product.
    """
    pairs = moments.join(presence, on="spell")
    inside = (pl.col("present_from") <= pl.col("seen_at")) & (pl.col("seen_at") < pl.col("present_to"))
    known = (pl.col("scarce_from") < pl.col("at")) & (pl.col("at") <= pl.col("scarce_to"))
    return pairs.filter(inside & known).select(*moments.columns, "product_id", "state")


def quiet_points(
    presence: pl.DataFrame, quiet_since: pl.DataFrame, quiet: int, start: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """When a cart has had no scarce product for long enough.

    Args:
        presence: of the spells in question.
        quiet_since: ``spell``, ``at``: carried carts whose last scarce product stopped being so before the day.
        quiet: microseconds.
        start: first instant of the day; what was scarce before it is known to be so from here on.

    Returns:
        Clear points (``spell``, ``at``), one per silence that was long enough; and ``spell``, ``quiet_since`` at the
        end of the day, null while something is scarce.
    """
    met = presence.select(
        "spell",
        pl.max_horizontal("present_from", "scarce_from", start).alias("from"),
        pl.min_horizontal("present_to", "scarce_to").alias("to"),
    )
    old = quiet_since.select("spell", pl.lit(BEFORE).alias("from"), pl.col("at").alias("to"))
    spans = pl.concat([old, met]).sort("spell", "from", "to")
    spans = spans.with_columns(pl.col("to").cum_max().over("spell").alias("reach"))
    same = (pl.col("spell") == pl.col("spell").shift(-1)).fill_null(False)
    following = pl.when(same).then(pl.col("from").shift(-1)).otherwise(INF)
    ended = pl.col("reach") < INF
    long = ended & (following >= pl.when(ended).then(pl.col("reach") + quiet))
    points = spans.filter(long.fill_null(False)).select("spell", (pl.col("reach") + quiet).alias("at"))
    last = spans.group_by("spell").agg(pl.col("reach").max())
    return points, last.select("spell", pl.when(pl.col("reach") < INF).then("reach").alias("quiet_since"))
