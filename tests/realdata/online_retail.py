"""Maps UCI Online Retail (invoice lines of a gift shop, 2010-12 to 2011-08) to entity files.

An invoice is one transaction. The six-digit lines with a positive quantity and price are a sale. What else stands on a
six-digit invoice (write-offs, samples) and every other invoice is an adjustment: a cancellation does not say which sale
it takes back, and a return has to. Nothing is left out, and no line is merged with another that looks the same.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

#: The names that the file uses, where ISO 3166-1 has a code for one country; the rest stay unknown.
COUNTRIES = {
    "Australia": "AU",
    "Austria": "AT",
    "Bahrain": "BH",
    "Belgium": "BE",
    "Brazil": "BR",
    "Canada": "CA",
    "Cyprus": "CY",
    "Czech Republic": "CZ",
    "Denmark": "DK",
    "EIRE": "IE",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hong Kong": "HK",
    "Iceland": "IS",
    "Israel": "IL",
    "Italy": "IT",
    "Japan": "JP",
    "Lebanon": "LB",
    "Lithuania": "LT",
    "Malta": "MT",
    "Netherlands": "NL",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "Saudi Arabia": "SA",
    "Singapore": "SG",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "USA": "US",
    "United Arab Emirates": "AE",
    "United Kingdom": "GB",
}

SHOP = "online"

#: ``part`` keeps the lines of a mixed invoice apart; its adjustment gets an id of its own.
LINES = """
CREATE TABLE lines AS
SELECT *, row_number() OVER (PARTITION BY transaction_id ORDER BY file_row_number) AS line_no
FROM (
    SELECT *,
        InvoiceNo || CASE WHEN NOT is_sale AND bool_or(is_sale) OVER (PARTITION BY InvoiceNo) THEN '-ADJ' ELSE '' END
            AS transaction_id
    FROM (
        SELECT *,
            regexp_full_match(InvoiceNo, '[0-9]{6}') AND Quantity > 0 AND UnitPrice > 0 AS is_sale,
            CAST(round(UnitPrice * 100) AS BIGINT) AS unit_minor,
            CAST(round(Quantity * UnitPrice * 100) AS BIGINT) AS line_minor
        FROM read_parquet($source, file_row_number => true)
    )
)
"""

TRANSACTIONS = """
SELECT transaction_id AS external_id,
    CASE WHEN bool_and(is_sale) THEN 'sale' ELSE 'adjustment' END AS type,
    'completed' AS status,
    strftime(min(InvoiceDate), '%Y-%m-%dT%H:%M:%S') AS occurred_at,
    strftime(min(InvoiceDate), '%Y-%m-%dT%H:%M:%S') AS updated_at,
    'UTC' AS timezone,
    CAST(any_value(CustomerID) AS VARCHAR) AS customer_id,
    'web' AS channel,
    $shop AS outlet_id,
    'GBP' AS currency,
    CAST(sum(line_minor) AS BIGINT) AS gross_minor,
    CAST(sum(line_minor) AS BIGINT) AS net_minor,
    list({
        'line_no': line_no, 'product_id': StockCode, 'quantity': Quantity, 'unit_price_minor': unit_minor,
        'line_gross_minor': line_minor, 'line_net_minor': line_minor
    } ORDER BY line_no) AS lines
FROM lines GROUP BY transaction_id ORDER BY min(InvoiceDate), external_id
"""

PRODUCTS = """
SELECT StockCode AS external_id,
    coalesce(min(trim(Description)) FILTER (trim(Description) <> ''), StockCode) AS name,
    'retail' AS category_path,
    'active' AS status,
    coalesce(arg_max(unit_minor, file_row_number) FILTER (UnitPrice > 0), 0) AS price_minor,
    'GBP' AS currency,
    strftime(min(InvoiceDate), '%Y-%m-%dT%H:%M:%SZ') AS updated_at
FROM lines GROUP BY StockCode ORDER BY external_id
"""

CUSTOMERS = """
SELECT CAST(CustomerID AS VARCHAR) AS external_id,
    arg_max(Country, file_row_number) AS country,
    $shop AS home_outlet_id,
    strftime(min(InvoiceDate), '%Y-%m-%dT%H:%M:%SZ') AS registered_at,
    strftime(min(InvoiceDate), '%Y-%m-%dT%H:%M:%SZ') AS updated_at
FROM lines WHERE CustomerID IS NOT NULL GROUP BY CustomerID ORDER BY external_id
"""

OUTLETS = """
SELECT $shop AS external_id, 'Online shop' AS name, 'online' AS kind, 'UTC' AS timezone, 'GB' AS country,
    'GBP' AS currency, '2010-12-01T00:00:00Z' AS updated_at
"""


def write(source: Path, out: Path) -> dict[str, list[Path]]:
    """Write outlets and transactions as NDJSON, customers as CSV and products as Parquet.

    Args:
        source: the folder with ``online_retail.parquet``.
        out: a folder that is there.

    Returns:
        The files by entity.
    """
    with duckdb.connect() as connection:
        connection.execute(LINES, {"source": str(source / "online_retail.parquet")})
        connection.sql(OUTLETS, params={"shop": SHOP}).pl().write_ndjson(out / "outlets.ndjson")
        connection.sql(TRANSACTIONS, params={"shop": SHOP}).pl().write_ndjson(out / "transactions.ndjson")
        customers = connection.sql(CUSTOMERS, params={"shop": SHOP}).pl()
        connection.sql(PRODUCTS).pl().write_parquet(out / "products.parquet")
    codes = pl.col("country").replace_strict(COUNTRIES, default=None, return_dtype=pl.String)
    customers.with_columns(codes).write_csv(out / "customers.csv")
    return {
        "outlets": [out / "outlets.ndjson"],
        "customers": [out / "customers.csv"],
        "products": [out / "products.parquet"],
        "transactions": [out / "transactions.ndjson"],
    }
