"""What is shown of a membership beside who and when: the cart that counts at a moment, and what it held then."""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.contents import json_string
from pipelines.cohorts.scarce_products import scarce_at
from pipelines.cohorts.spells import Spells

#: Nothing scarce in the cart, as canonical JSON.
NOTHING = "[]"


def newest_carts(moments: pl.DataFrame, parts: pl.DataFrame, found: Spells) -> pl.DataFrame:
    """The cart that is shown at each moment: of those in the cohort the one with the newest activity; ties by cart.

    Args:
        moments: ``moment``, ``piece``, ``at``.
        parts: pieces of carts with the ``piece`` that they are a part of.
        found: the days' spells.

    Returns:
        ``moment``, ``at``, ``spell``, ``row``, ``seen_at``.
    """
    pairs = moments.select("moment", "piece", "at").join(
        parts.select("piece", "spell", "cart", "start", "end"), on="piece"
    )
    pairs = pairs.filter((pl.col("start") <= pl.col("at")) & (pl.col("at") <= pl.col("end")))
    rows = found.rows.select("spell", "row", pl.col("at").alias("seen_at")).sort("seen_at")
    seen = (
        pairs.select("moment", "spell", "cart", "at")
        .sort("at")
        .join_asof(rows, left_on="at", right_on="seen_at", by="spell", strategy="backward", check_sortedness=False)
    )
    ordered = seen.sort("moment", "seen_at", "cart", descending=[False, True, False])
    return ordered.filter(pl.col("moment").ne_missing(pl.col("moment").shift(1))).drop("cart")


def contexts(chosen: pl.DataFrame, held: pl.DataFrame, presence: pl.DataFrame) -> pl.DataFrame:
    """``moment`` and the context of its cart.

    Args:
        chosen: what ``newest_carts`` gave.
        held: what ``contents`` gave.
        presence: what ``scarce_presence`` gave.
    """
    low = listed(scarce_at(presence, chosen.select("moment", "spell", "seen_at", "at")), "moment")
    joined = chosen.join(held, on="row", how="left").join(low, on="moment", how="left")
    return joined.select(
        "moment",
        "row",
        pl.col("total").alias("cart_total_value_minor"),
        "currency",
        pl.col("product_ids").alias("cart_product_ids"),
        pl.col("low_stock_product_ids").fill_null(NOTHING),
    )


def listed(found: pl.DataFrame, key: str) -> pl.DataFrame:
    """Scarce products by key: ``low_stock_product_ids`` as canonical JSON.

    Args:
        found: the key and ``product_id``; one row per product.
        key: Int64 column that names a cart and a moment.
    """
    encoded = found.with_columns(json_string("product_id").alias("encoded"))
    # Most carts hold one scarce product, which needs no grouping.
    repeated = encoded[key].is_duplicated()
    alone = encoded.filter(~repeated).select(key, "encoded")
    several = encoded.filter(repeated).sort(key, "product_id").group_by(key, maintain_order=True)
    joined = several.agg(pl.col("encoded").str.join(","))
    rows = pl.concat([alone, joined])
    return rows.select(key, pl.format("[{}]", "encoded").alias("low_stock_product_ids"))
