"""The mappings leave nothing out: what stands in the source files stands in the entity files."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.realdata import online_retail, open_bandit, rees46
from tests.realdata.truth import fact, over_source

RETAIL = "online_retail/online_retail.parquet"


@pytest.fixture(scope="module")
def retail(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return online_retail.write(source / "online_retail", tmp_path_factory.mktemp("retail"))


@pytest.fixture(scope="module")
def transactions(retail: dict[str, list[Path]]) -> pl.DataFrame:
    sql = "SELECT * FROM read_json($files, maximum_object_size => 16777216)"
    with duckdb.connect() as connection:
        return connection.sql(sql, params={"files": [str(path) for path in retail["transactions"]]}).pl()


def test_every_invoice_line_stands_in_one_transaction(transactions: pl.DataFrame) -> None:
    lines = transactions.explode("lines").select("external_id", pl.col("lines").struct.unnest())
    of_invoices = (
        lines.with_columns(pl.col("external_id").str.strip_suffix("-ADJ").alias("invoice"))
        .group_by("invoice")
        .agg(
            pl.len().cast(pl.Int64).alias("lines"),
            pl.col("quantity").sum(),
            pl.col("line_net_minor").sum().alias("net"),
        )
        .sort("invoice")
    )
    expected = over_source(
        RETAIL,
        "SELECT InvoiceNo AS invoice, count(*) AS lines, sum(Quantity)::BIGINT AS quantity,"
        " sum(round(Quantity * UnitPrice * 100))::BIGINT AS net FROM source GROUP BY ALL ORDER BY 1",
    )
    assert of_invoices.rows() == expected.rows()
    assert lines.height == fact("online_retail", "totals")["n_rows"].item()


def test_a_sale_is_what_the_facts_call_an_order(transactions: pl.DataFrame) -> None:
    sales = transactions.filter(pl.col("type") == "sale")
    expected = fact("online_retail", "sale_totals")
    assert sales.height == expected["sale_orders"].item()
    assert sales["lines"].list.len().sum() == expected["sale_rows"].item()
    assert set(transactions["type"]) == {"sale", "adjustment"}
    assert transactions["external_id"].is_unique().all()


def test_codes_that_differ_in_case_stay_apart(retail: dict[str, list[Path]]) -> None:
    products = pl.read_parquet(retail["products"][0])
    assert products.height == fact("online_retail", "totals")["stock_codes"].item()
    pairs = products.group_by(pl.col("external_id").str.to_uppercase()).len().filter(pl.col("len") > 1)
    oddities = dict(fact("online_retail", "oddities").iter_rows())
    assert pairs.height == oddities["stock codes differing only in case"]


def test_a_row_that_stands_twice_is_one_event(source: Path, tmp_path: Path) -> None:
    files = rees46.write(source / "rees46", tmp_path)
    events = pl.concat([pl.read_ndjson(path, infer_schema_length=None) for path in files["customer_events"]])
    totals = fact("rees46", "totals")
    assert events.height == totals["n_rows"].item()
    assert events["external_id"].n_unique() == totals["distinct_rows"].item()
    assert pl.read_csv(files["products"][0], infer_schema=False).height == totals["products"].item()


def test_every_impression_and_click_is_an_event(source: Path, tmp_path: Path) -> None:
    files = open_bandit.write(source / "obd", tmp_path)
    events = pl.read_parquet(files["customer_events"][0]).group_by("campaign_id", "event_name").len()
    counted = {(campaign, name): count for campaign, name, count in events.iter_rows()}
    expected = {}
    for row in fact("obd", "totals").iter_rows(named=True):
        campaign = f"{row['campaign']}-{row['policy']}"
        expected[campaign, "Promotion Viewed"] = row["impressions"]
        expected[campaign, "Link Clicked"] = row["clicks"]
    assert counted == expected
