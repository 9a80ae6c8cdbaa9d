"""What a cart held at an instant: its products as canonical JSON, its total and currency."""

from __future__ import annotations

import json

import polars as pl

from pipelines.cohorts.cart_timeline import Timeline

CONTENTS = ("total", "currency", "product_ids")


def contents(line: Timeline, wanted: pl.DataFrame) -> pl.DataFrame:
    """Contents after given instants.

    Args:
        line: the day's timeline; what was carried is not computed again.
        wanted: ``cart``, ``epoch``, ``at``, ``carried`` of open instants.

    Returns:
        ``wanted`` once each with ``total`` (minor units; null unless all prices have one currency), ``currency``,
        ``product_ids``.
    """
    rows = wanted.unique(["epoch", "at"])
    old = rows.filter("carried").join(line.held.select("cart", *CONTENTS), on="cart", how="left")
    fresh = rows.filter(~pl.col("carried"))
    path = line.items.select(
        "epoch", "product_id", "quantity", "line_value", "currency", pl.col("at").alias("changed_at")
    )
    path = path.join(fresh.select("epoch").unique(), on="epoch", how="semi").with_row_index("place")
    seen = fresh.select("epoch", "at").join(path, on="epoch").filter(pl.col("changed_at") <= pl.col("at"))
    newest = seen.sort("place").unique(["epoch", "at", "product_id"], keep="last", maintain_order=True)
    listed = (
        newest.filter(pl.col("quantity") > 0)
        .sort("epoch", "at", "product_id")
        .with_columns(json_string("product_id").alias("encoded"))
        .group_by("epoch", "at", maintain_order=True)
        .agg(
            pl.col("encoded").str.join(","),
            pl.col("line_value").sum(),
            pl.col("currency").min().alias("lowest"),
            pl.col("currency").max().alias("highest"),
        )
    )
    single = pl.col("lowest") == pl.col("highest")
    computed = listed.select(
        "epoch",
        "at",
        pl.when(single).then("line_value").alias("total"),
        pl.when(single).then("lowest").alias("currency"),
        pl.format("[{}]", "encoded").alias("product_ids"),
    )
    joined = fresh.join(computed, on=["epoch", "at"], how="left")
    return pl.concat([old.select(joined.columns), joined])


def json_string(column: str) -> pl.Expr:
    """A string column as JSON strings; only ids with unusual characters take the slow way."""
    plain = pl.col(column).str.contains(r'^[^"\\\x00-\x1f]*$')
    quoted = pl.concat_str(pl.lit('"'), pl.col(column), pl.lit('"'))
    escaped = pl.col(column).map_batches(_escape, return_dtype=pl.String)
    return pl.when(plain).then(quoted).otherwise(escaped)


def _escape(values: pl.Series) -> pl.Series:
    odd = values.str.contains(r'["\\\x00-\x1f]')
    if not odd.any():
        return values
    texts = [json.dumps(value, ensure_ascii=False) if flag else value for value, flag in zip(values, odd, strict=True)]
    return pl.Series(values.name, texts, dtype=pl.String)
