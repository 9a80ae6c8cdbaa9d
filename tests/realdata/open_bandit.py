"""Maps ZOZO Open Bandit (recommendations that were shown, and which were clicked) to entity files.

A campaign is a campaign of the file under one of its two policies; a link is a place for an item in it. The file has no
visitor, only hashed features of one, so that all who share them are one visitor here.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

IMPRESSIONS = """
CREATE TABLE impressions AS
SELECT *,
    campaign || '-' || policy AS campaign_id,
    campaign || '-' || policy || '-' || item_id || '-' || position AS link_id,
    campaign || '-' || item_id AS product_id,
    'v-' || left(sha256(concat_ws('|', user_feature_0, user_feature_1, user_feature_2, user_feature_3)), 16) AS vid,
    strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%fZ') AS occurred_at
FROM read_parquet($source, file_row_number => true)
"""

CAMPAIGNS = """
SELECT campaign_id AS external_id,
    campaign || ' under ' || policy AS name,
    'message' AS type,
    'multi' AS channel,
    'live' AS status,
    '2019-11-24T00:00:00Z' AS starts_at,
    '2019-11-24T00:00:00Z' AS launched_at,
    '2019-11-24T00:00:00Z' AS created_at,
    '2019-11-24T00:00:00Z' AS updated_at,
    'UTC' AS timezone,
    list_transform(list_sort(list(DISTINCT product_id)), lambda id: {'product_id': id, 'role': 'promoted'}) AS products
FROM impressions GROUP BY campaign_id, campaign, policy ORDER BY external_id
"""

LINKS = """
SELECT DISTINCT link_id AS external_id, campaign_id, 'https://shop.example.com/items/' || item_id AS destination_url,
    'position ' || position AS label, position, product_id, 'multi' AS channel, '2019-11-24T00:00:00Z' AS updated_at
FROM impressions ORDER BY external_id
"""

PRODUCTS = """
SELECT campaign || '-' || item_id AS external_id, 'Item ' || item_id AS name, campaign AS category_path,
    'active' AS status, 0 AS price_minor, 'JPY' AS currency, '2019-11-24T00:00:00Z' AS updated_at
FROM read_parquet($source) ORDER BY external_id
"""

#: An impression, and after it the click on it, if there was one; both have the instant that the file gives.
EVENTS = """
SELECT 'impression-' || file_row_number AS external_id, 'Promotion Viewed' AS event_name, occurred_at,
    vid AS flockr_vid, 'web' AS channel, campaign_id, link_id, product_id
FROM impressions
UNION ALL
SELECT 'click-' || file_row_number, 'Link Clicked', occurred_at, vid, 'web', campaign_id, link_id, product_id
FROM impressions WHERE click = 1
ORDER BY occurred_at, external_id
"""


def write(source: Path, out: Path) -> dict[str, list[Path]]:
    """Write campaigns as NDJSON, links and products as CSV, customer_events as Parquet.

    Args:
        source: the folder with ``impressions.parquet`` and ``item_context.parquet``.
        out: a folder that is there.

    Returns:
        The files by entity.
    """
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(IMPRESSIONS, {"source": str(source / "impressions.parquet")})
        items = {"source": str(source / "item_context.parquet")}
        connection.sql(PRODUCTS, params=items).pl().write_csv(out / "products.csv")
        connection.sql(CAMPAIGNS).pl().write_ndjson(out / "campaigns.ndjson")
        connection.sql(LINKS).pl().write_csv(out / "links.csv")
        connection.sql(EVENTS).pl().write_parquet(out / "customer_events.parquet")
    return {
        "campaigns": [out / "campaigns.ndjson"],
        "links": [out / "links.csv"],
        "products": [out / "products.csv"],
        "customer_events": [out / "customer_events.parquet"],
    }
