"""Open Bandit from impressions and clicks to the campaign files: equal to the facts and to SQL over the source."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines import flow
from pipelines.config import Tenant
from tests.realdata import open_bandit
from tests.realdata.conftest import Once, add_tenant, ingest_files, murmur, open_tenant
from tests.realdata.truth import fact, over_exports, over_lake, over_source

SOURCE = "obd/impressions.parquet"


@pytest.fixture(scope="session")
def tenant(source: Path, once: Once) -> Tenant:
    def fill(root: Path) -> None:
        add_tenant(root, "JPY")
        (root / "files").mkdir()
        ingest_files(root, open_bandit.write(source / "obd", root / "files"))
        flow.run(open_tenant(root))

    return open_tenant(once("open_bandit", fill))


def over_csv(tenant: Tenant, file: str, sql: str) -> pl.DataFrame:
    """Answer to SQL over one of the daily CSV files of all days, called ``exported``, read as any reader would."""
    root = (tenant.bucket_url("gcs") or "").removeprefix("file://")
    with duckdb.connect() as connection:
        connection.read_csv(f"{root}/v1/date=*/{file}.csv", header=True).create_view("exported")
        return connection.sql(sql).pl()


def campaign_rows(frame: pl.DataFrame, *values: str) -> list[tuple[object, ...]]:
    """Facts with campaign and policy as the campaign's id, sorted."""
    named = frame.with_columns(pl.concat_str("campaign", "policy", separator="-").alias("campaign"))
    return sorted(named.select("campaign", *values).rows())


def test_every_record_was_accepted(tenant: Tenant) -> None:
    counts = json.loads((tenant.home.parent / "counts.json").read_text())
    assert all(count["received"] == count["accepted"] for count in counts.values())
    assert tenant.lake.read("unresolved_references").is_empty()


def test_totals(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT campaign_id, count(*) FILTER (event_name = 'Promotion Viewed') AS impressions,"
        " count(*) FILTER (event_name = 'Link Clicked') AS clicks, count(DISTINCT product_id) AS skus,"
        " min(occurred_at)::VARCHAR AS t0, max(occurred_at)::VARCHAR AS t1 FROM customer_events GROUP BY 1",
    )
    expected = campaign_rows(fact("obd", "totals"), "impressions", "clicks", "skus", "t0", "t1")
    assert sorted(found.rows()) == expected


def test_clicks_of_every_day(tenant: Tenant) -> None:
    found = over_csv(
        tenant,
        "link_statistics",
        "SELECT campaign_id, stat_date::VARCHAR AS d, sum(clicks)::BIGINT FROM exported GROUP BY 1, 2",
    )
    assert sorted(found.rows()) == campaign_rows(fact("obd", "link_stats_by_day"), "d", "clicks")


def test_impressions_of_every_day(tenant: Tenant) -> None:
    found = over_exports(
        tenant,
        "events",
        "SELECT campaign_id, date::VARCHAR AS d, count(*) FROM exported"
        " WHERE event_name = 'Promotion Viewed' GROUP BY 1, 2",
    )
    assert sorted(found.rows()) == campaign_rows(fact("obd", "link_stats_by_day"), "d", "impressions")


def test_clicks_by_position(tenant: Tenant) -> None:
    found = over_csv(
        tenant,
        "link_statistics",
        "SELECT campaign_id, position, sum(clicks)::BIGINT FROM exported GROUP BY 1, 2",
    )
    assert sorted(found.rows()) == campaign_rows(fact("obd", "by_position"), "position", "clicks")


def test_clicks_by_item(tenant: Tenant) -> None:
    found = over_csv(
        tenant, "link_statistics", "SELECT campaign_id, product_id, sum(clicks)::BIGINT FROM exported GROUP BY 1, 2"
    )
    clicks = {(campaign, product): count for campaign, product, count in found.iter_rows()}
    for row in fact("obd", "link_stats_by_sku_top20").iter_rows(named=True):
        assert clicks[f"{row['campaign']}-{row['policy']}", f"{row['campaign']}-{row['item_id']}"] == row["clicks"]


def test_every_link_and_day_equals_the_source(tenant: Tenant) -> None:
    found = over_csv(
        tenant,
        "link_statistics",
        "SELECT link_id, stat_date, clicks, unique_clickers, bot_clicks FROM exported WHERE clicks > 0",
    )
    expected = over_source(
        SOURCE,
        "SELECT concat_ws('-', campaign, policy, item_id, position), timestamp::DATE, sum(click)::BIGINT,"
        " count(DISTINCT (user_feature_0, user_feature_1, user_feature_2, user_feature_3)), 0"
        " FROM source WHERE click = 1 GROUP BY 1, 2",
    )
    assert sorted(found.rows()) == sorted(expected.rows())


def test_cumulative_clicks_are_the_sum_of_the_days(tenant: Tenant) -> None:
    found = over_csv(
        tenant,
        "link_statistics",
        "SELECT clicks_cumulative, sum(clicks) OVER (PARTITION BY link_id ORDER BY stat_date)::BIGINT AS summed"
        " FROM exported",
    )
    assert found.height == 7 * tenant.lake.read("links").height
    assert found["clicks_cumulative"].to_list() == found["summed"].to_list()


def test_campaigns_count_what_their_links_count(tenant: Tenant) -> None:
    found = over_csv(
        tenant,
        "campaigns",
        "SELECT campaign_id, clicked, clicks_unattributed FROM exported WHERE snapshot_date = DATE '2019-11-30'",
    )
    # Nobody was selected for a campaign, so that every click is one of the unattributed.
    expected = [(campaign, clicks, clicks) for campaign, clicks in campaign_rows(fact("obd", "totals"), "clicks")]
    assert sorted(found.rows()) == expected


def test_items_of_the_campaigns(tenant: Tenant) -> None:
    found = over_csv(tenant, "campaign_skus", "SELECT campaign_id, count(DISTINCT product_id) FROM exported GROUP BY 1")
    assert sorted(found.rows()) == campaign_rows(fact("obd", "totals"), "skus")


def test_exported_events_are_the_lake_rows(tenant: Tenant) -> None:
    found = over_exports(tenant, "events", "SELECT date, count(*) FROM exported GROUP BY 1 ORDER BY 1")
    assert dict(found.iter_rows()) == tenant.lake.rows("customer_events")


def test_exports_are_whole(tenant: Tenant) -> None:
    for kind in ("s3", "gcs"):
        checked = murmur(tenant.home.parent, "export", "verify", f"{tenant.bucket_url(kind)}/v1")
        # Seven days of each dataset, and one partition of the spans of membership that are open.
        assert checked["ok"] and checked["partitions"] % 7 == (1 if kind == "s3" else 0)
