"""Customer events as a shop sends them, for the benchmarks of ingestion: NDJSON of 30 days in time order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from _measure import DATA

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
DAYS = 30
_BLOCK = 250_000


def events_file(rows: int) -> Path:
    """NDJSON: 1 % with an id sent before, a tenth with products, a third of known customers. Made once per size."""
    path = DATA / f"customer_events-{rows}.ndjson"
    if path.exists():
        return path
    DATA.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        for start in range(0, rows, _BLOCK):
            _events(random, start, min(_BLOCK, rows - start), rows).write_ndjson(file)
    temporary.replace(path)
    return path


def _events(random: np.random.Generator, start: int, count: int, rows: int) -> pl.DataFrame:
    names = np.array(["Product Viewed", "Product Added", "Cart Viewed", "Checkout Started", "Order Completed"])
    place = np.arange(start, start + count)
    ids = np.where(random.random(count) < 0.01, np.maximum(place - 1000, 0), place)
    visitor = random.integers(0, max(rows // 8, 1), count)
    product = random.zipf(1.2, count) % 50_000
    at = START + place * (DAYS * 86_400_000_000 // rows)
    frame = pl.DataFrame({"id": ids, "visitor": visitor, "product": product, "at": at})
    name = pl.Series(names[random.choice(5, count, p=[0.7, 0.12, 0.08, 0.06, 0.04])])
    known = pl.col("visitor") % 3 == 0
    lined = pl.col("product") % 10 == 0
    line = pl.struct(
        pl.format("sku-{}", "product").alias("product_id"),
        pl.lit(1).alias("quantity"),
        (pl.col("product") * 7 + 99).alias("unit_price_minor"),
        pl.lit("GBP").alias("currency"),
    )
    return frame.select(
        pl.format("evt-{}", pl.col("id").cast(pl.String).str.zfill(12)).alias("external_id"),
        name.alias("event_name"),
        pl.col("at").cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias("occurred_at"),
        pl.when(known).then(pl.format("cus-{}", "visitor")).alias("customer_id"),
        pl.format("fv-{}", pl.col("visitor").cast(pl.String).str.zfill(14)).alias("flockr_vid"),
        pl.format("ses-{}-{}", "visitor", pl.col("at") // 3_600_000_000).alias("session_id"),
        pl.lit("web").alias("channel"),
        pl.format("sku-{}", "product").alias("product_id"),
        pl.when(lined).then(pl.concat_list(line)).alias("products"),
        pl.format("cart-{}", "visitor").alias("cart_id"),
        (pl.col("product") * 7 + 99).alias("value_minor"),
        pl.lit("GBP").alias("currency"),
        pl.format("/p/sku-{}", "product").alias("url_path"),
        pl.lit("mobile").alias("device_type"),
        pl.lit("human").alias("agent_class"),
    )
