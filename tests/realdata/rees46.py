"""Maps REES46 (views, carts and purchases of a shop within 170 minutes) to entity files.

A user is the visitor and owns one cart. A row that stands in the file twice is the same event sent twice, so an event's
id is the hash of its whole row. A purchase names an order that never arrives as a transaction of its own.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

NAMES = {"view": "Product Viewed", "cart": "Product Added", "purchase": "Order Completed"}

EVENTS = """
CREATE TABLE events AS
SELECT *,
    CAST(round(price * 100) AS BIGINT) AS price_minor,
    sha256(concat_ws('|', CAST(epoch_us(event_time) AS VARCHAR), event_type, CAST(product_id AS VARCHAR),
        CAST(category_id AS VARCHAR), coalesce(category_code, ''), coalesce(brand, ''), CAST(price AS VARCHAR),
        CAST(user_id AS VARCHAR), coalesce(user_session, ''))) AS row_hash
FROM read_parquet($source, file_row_number => true)
"""

CUSTOMER_EVENTS = """
SELECT row_hash AS external_id,
    event_type AS event_name,
    strftime(event_time, '%Y-%m-%dT%H:%M:%SZ') AS occurred_at,
    CAST(user_id AS VARCHAR) AS flockr_vid,
    user_session AS session_id,
    CAST(user_id AS VARCHAR) AS cart_id,
    'web' AS channel,
    CAST(product_id AS VARCHAR) AS product_id,
    CASE WHEN event_type <> 'view' THEN [{
        'product_id': CAST(product_id AS VARCHAR), 'quantity': 1, 'unit_price_minor': price_minor, 'currency': 'USD'
    }] END AS products,
    CASE WHEN event_type = 'purchase' THEN 'order-' || row_hash END AS order_id,
    price_minor AS value_minor,
    'USD' AS currency
FROM events ORDER BY file_row_number
"""

PRODUCTS = """
SELECT CAST(product_id AS VARCHAR) AS external_id,
    'Product ' || product_id AS name,
    min(brand) AS brand,
    replace(coalesce(min(category_code), CAST(min(category_id) AS VARCHAR)), '.', ' > ') AS category_path,
    'active' AS status,
    arg_max(price_minor, file_row_number) AS price_minor,
    'USD' AS currency,
    strftime(min(event_time), '%Y-%m-%dT%H:%M:%SZ') AS updated_at
FROM events GROUP BY product_id ORDER BY external_id
"""


def write(source: Path, out: Path) -> dict[str, list[Path]]:
    """Write customer_events as NDJSON in two files and products as CSV.

    Args:
        source: the folder with ``events.parquet``.
        out: a folder that is there.

    Returns:
        The files by entity.
    """
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(EVENTS, {"source": str(source / "events.parquet")})
        events = connection.sql(CUSTOMER_EVENTS).pl().with_columns(pl.col("event_name").replace_strict(NAMES))
        connection.sql(PRODUCTS).pl().write_csv(out / "products.csv")
    half = events.height // 2
    events[:half].write_ndjson(out / "events-1.ndjson")
    events[half:].write_ndjson(out / "events-2.ndjson")
    return {
        "products": [out / "products.csv"],
        "customer_events": [out / "events-1.ndjson", out / "events-2.ndjson"],
    }
