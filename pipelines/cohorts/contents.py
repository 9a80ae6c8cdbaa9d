"""What a cart held at an instant: its products as canonical JSON, its total and currency."""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from pipelines.cohorts.cart_timeline import Timeline

CONTENTS = ("total", "currency", "product_ids")


def contents(line: Timeline, rows: pl.DataFrame, wanted: Sequence[pl.Series]) -> pl.DataFrame:
    """Contents after given instants.

    Args:
        line: the days' timeline; what was carried is not computed again.
        rows: open instants: ``row``, ``cart``, ``epoch``, ``at``, ``carried``.
        wanted: numbers of rows, each any number of times.

    Returns:
        ``row`` once each with ``total`` (minor units; null unless all prices have one currency), ``currency``,
        ``product_ids``.
    """
    asked = rows.select("row", "cart", "epoch", "at", "carried")[pl.concat(wanted).unique().sort()]
    old = asked.filter("carried").join(line.held.select("cart", *CONTENTS), on="cart", how="left")
    fresh = asked.filter(~pl.col("carried"))
    path = line.items.select(
        "epoch", "product_id", "quantity", "line_value", "currency", pl.col("at").alias("changed_at")
    )
    path = path.join(fresh.select("epoch").unique(), on="epoch", how="semi").with_row_index("place")
    seen = fresh.select("row", "epoch", "at").join(path, on="epoch").filter(pl.col("changed_at") <= pl.col("at"))
    # In the order of the path products of an instant follow each other, the newest state of each last.
    seen = seen.sort("row", "place")
    again = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in ("row", "product_id"))
    newest = seen.filter(~again.fill_null(False) & (pl.col("quantity") > 0))
    codes = newest["currency"].drop_nulls().unique().sort()
    number = pl.col("currency").replace_strict(codes, pl.int_range(codes.len(), eager=True), default=None)
    listed = (
        newest.with_columns(json_string("product_id").alias("encoded"), number.cast(pl.Int64).alias("code"))
        .group_by("row", maintain_order=True)
        .agg(
            pl.col("encoded").str.join(","),
            pl.col("line_value").sum(),
            pl.col("code").min().alias("lowest"),
            pl.col("code").max().alias("highest"),
        )
    )
    single = pl.col("lowest") == pl.col("highest")
    computed = listed.select(
        "row",
        pl.when(single).then("line_value").alias("total"),
        pl.when(single).then(pl.lit(codes).gather("lowest")).alias("currency"),
        pl.format("[{}]", "encoded").alias("product_ids"),
    )
    joined = fresh.select("row").join(computed, on="row", how="left")
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
