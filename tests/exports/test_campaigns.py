"""Figures of the five campaign files on data small enough to count by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.config import Tenant
from pipelines.exports.campaigns.inputs import CampaignInputs, as_of, read_inputs
from pipelines.exports.campaigns.link_statistics import untracked
from pipelines.exports.campaigns.state import campaign_state
from pipelines.exports.campaigns.write import COMPUTED, IdentityError, check_identities, write_files
from pipelines.exports.publish import Content
from schemas.exports import CSV_FILES
from tests.exports import retailer as r

Rows = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Tenant:
    shop = r.tenant(tmp_path_factory.mktemp("home"))
    r.fill(shop)
    return shop


@pytest.fixture(scope="module")
def inputs(shop: Tenant) -> CampaignInputs:
    return read_inputs(shop.lake, shop.zone.key, [day_of(day, shop.zone) for day in r.DAYS])


def parse(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(shop: Tenant, inputs: CampaignInputs, day: date, folder: Path) -> tuple[Content, Rows]:
    content = write_files(inputs, day_of(day, shop.zone), folder)
    return content, {file.path.stem: parse(file.path) for file in content.files}


@pytest.fixture(scope="module")
def files(shop: Tenant, inputs: CampaignInputs, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return write(shop, inputs, r.DAY, tmp_path_factory.mktemp("csv"))[1]


def cells(row: dict[str, str], *names: str) -> tuple[str, ...]:
    return tuple(row[name] for name in names)


def test_campaigns(files: Rows) -> None:
    one, two = files["campaigns"]
    assert cells(one, "snapshot_date", "campaign_id", "name", "status") == ("2026-03-10", "c1", "'=Spring", "live")
    assert cells(one, "target_size", "control_size", "audience_definition_version") == ("1", "1", "1")
    assert cells(one, "sent", "delivered", "failed", "opened") == ("1", "0", "0", "0")
    # e3 and e6 are u1's; e4 came before the visitor was known to be u1, e5 is a bot's.
    assert cells(one, "clicked", "unique_clickers", "clicks_unattributed") == ("3", "2", "1")
    # t1 follows e3; t0 came before any click; t2 has a later click on the other campaign.
    assert cells(one, "converted_customers", "conversions", "revenue_minor", "discount_minor", "currency") == (
        "1",
        "1",
        "1000",
        "10",
        "GBP",
    )
    assert cells(one, "opt_outs", "attribution_window_days", "timezone") == ("1", "7", "Europe/London")
    assert cells(two, "campaign_id", "failed", "conversions", "clicks_unattributed", "status") == (
        "c2",
        "1",
        "1",
        "1",
        "draft",
    )


def test_campaign_customers(files: Rows) -> None:
    converted, control, suppressed = files["campaign_customers"]
    assert cells(converted, "customer_id", "status", "cohort_id", "cohort_entered_at") == (
        "u1",
        "converted",
        "lapsed_shopper",
        "2026-03-10T01:00:00Z",
    )
    assert cells(converted, "sent_at", "first_opened_at", "open_count", "click_count") == (
        "2026-03-09T08:00:00Z",
        "",
        "0",
        "2",
    )
    assert cells(converted, "first_clicked_at", "last_clicked_at", "converted_at", "conversion_transaction_id") == (
        "2026-03-09T12:00:00Z",
        "2026-03-10T10:00:00Z",
        "2026-03-09T13:00:00Z",
        "t1",
    )
    assert cells(converted, "opted_out_at", "updated_at") == ("2026-03-09T12:00:00Z", "2026-03-10T10:00:00Z")
    assert cells(control, "customer_id", "variant", "status", "updated_at") == (
        "u2",
        "control",
        "selected",
        "2026-03-08T12:00:00Z",
    )
    assert cells(suppressed, "status", "suppression_reason", "failure_code") == ("failed", "opted_out", "550")


def test_campaign_skus(files: Rows) -> None:
    sold, unsold = files["campaign_skus"]
    assert cells(sold, "product_id", "role", "offer_type", "offer_value", "valid_from") == (
        "p1",
        "promoted",
        "percent",
        "-12.5",
        "2026-03-09T00:00:00Z",
    )
    assert cells(sold, "units_sold", "orders", "buyers", "revenue_minor", "returned_units") == (
        "2.5",
        "2",
        "1",
        "2500",
        "0.5",
    )
    # Two days took part; each has 0.3 units on the same weekday of each of the four weeks before.
    assert cells(sold, "baseline_units", "uplift_units") == ("0.6", "1.9")
    assert cells(sold, "stock_runway_days", "scarcity_state", "updated_at") == (
        "2.5",
        "critical",
        "2026-03-10T15:00:00Z",
    )
    assert cells(unsold, "product_id", "role", "units_sold", "revenue_minor", "scarcity_state") == (
        "p9",
        "reward",
        "0",
        "0",
        "",
    )


def test_a_baseline_needs_its_four_weeks(shop: Tenant, inputs: CampaignInputs, tmp_path: Path) -> None:
    short = replace(inputs, published=inputs.published - {r.DAYS[0] - timedelta(days=28)})
    row = write(shop, short, r.DAY, tmp_path)[1]["campaign_skus"][0]
    assert cells(row, "units_sold", "baseline_units", "uplift_units") == ("2.5", "", "")


def test_opt_outs(files: Rows) -> None:
    columns = ("opt_out_id", "customer_id", "contact_hash", "campaign_id", "action", "previous_status", "is_current")
    assert [cells(row, *columns) for row in files["opt_outs"]] == [
        ("o1", "u1", "", "c1", "opt_out", "unknown", "false"),
        ("o2", "u1", "", "", "opt_in", "opted_out", "true"),
        ("o3", "", "hhhhhhhh", "", "opt_out", "unknown", "true"),
    ]


def test_link_statistics(files: Rows) -> None:
    one, two = files["link_statistics"]
    assert cells(one, "link_id", "destination_url", "channel", "stat_date") == (
        "l1",
        "https://shop.example.com/a?id=7#top",
        "email",
        "2026-03-10",
    )
    assert cells(one, "clicks", "unique_clickers", "bot_clicks", "clicks_cumulative", "unique_clickers_cumulative") == (
        "1",
        "1",
        "1",
        "3",
        "2",
    )
    assert cells(one, "device_mobile", "device_desktop", "device_other", "conversions", "revenue_minor") == (
        "0",
        "1",
        "0",
        "0",
        "0",
    )
    assert cells(two, "link_id", "device_other", "conversions", "revenue_minor", "currency") == (
        "l2",
        "1",
        "1",
        "500",
        "GBP",
    )


def test_an_earlier_day_knows_nothing_of_the_later(shop: Tenant, inputs: CampaignInputs, tmp_path: Path) -> None:
    content, files = write(shop, inputs, r.DAYS[0], tmp_path)
    assert [cells(row, "clicked", "conversions") for row in files["campaigns"]] == [("2", "1"), ("0", "0")]
    assert [row["opt_out_id"] for row in files["opt_outs"]] == ["o1"]
    assert files["opt_outs"][0]["is_current"] == "true"
    assert content.unresolved == {"campaign_skus.product_id": 1}


def test_what_does_not_resolve_is_counted(shop: Tenant, inputs: CampaignInputs, tmp_path: Path) -> None:
    nobody = replace(inputs, known={**inputs.known, "customers": inputs.known["customers"].head(1)})
    content, _ = write(shop, nobody, r.DAY, tmp_path)
    assert content.unresolved == {
        "campaign_customers.customer_id": 2,
        "campaign_skus.product_id": 1,
        "clicks.link_id": 1,
    }
    assert 0 < content.completeness < 1


def test_a_patch_without_its_record_waits(shop: Tenant, inputs: CampaignInputs, tmp_path: Path) -> None:
    lone = r.table("campaigns_history", r.version("c", "c5", r.at(8), status="live", created_at=r.at(8)))
    histories = {**inputs.histories, "campaigns": pl.concat([inputs.histories["campaigns"], lone])}
    content, files = write(shop, replace(inputs, histories=histories), r.DAY, tmp_path)
    assert [row["campaign_id"] for row in files["campaigns"]] == ["c1", "c2"]
    assert content.unresolved["campaigns.incomplete"] == 1


def test_the_window_of_the_campaign_decides(inputs: CampaignInputs) -> None:
    day = day_of(date(2026, 3, 12), r.tenant(Path("x")).zone)
    late = r.table("customer_orders", r.order("t9", "u1", r.at(11, 11), 5), r.order("t8", "u1", r.at(11, 10, 59), 5))
    orders = late.select(inputs.orders.columns)
    found = campaign_state(replace(inputs, orders=orders), day).conversions
    # c2 has one day: its click of the 10th, 11:00 covers 10:59 of the 11th, and not 11:00, which goes to c1.
    assert dict(found.select("order_id", "campaign_id").iter_rows()) == {"t8": "c2", "t9": "c1"}


def test_two_currencies_are_never_added(shop: Tenant, inputs: CampaignInputs, tmp_path: Path) -> None:
    more = r.table("customer_orders", r.order("t4", "u1", r.at(9, 14), 5, "EUR")).select(inputs.orders.columns)
    files = write(shop, replace(inputs, orders=pl.concat([inputs.orders, more])), r.DAY, tmp_path)[1]
    names = ("conversions", "revenue_minor", "discount_minor", "currency")
    assert cells(files["campaigns"][0], *names) == ("2", "", "", "")
    assert cells(files["campaign_customers"][0], "conversion_count", *names[1:]) == ("2", "", "", "")


@pytest.mark.parametrize(
    ("file", "column"),
    [("campaign_customers", "click_count"), ("link_statistics", "clicks_cumulative"), ("campaigns", "opt_outs")],
)
def test_files_that_contradict_each_other_are_refused(inputs: CampaignInputs, file: str, column: str) -> None:
    day = day_of(r.DAY, r.tenant(Path("x")).zone)
    state = campaign_state(inputs, day)
    tables = {name: compute(inputs, state) for name, compute in COMPUTED.items()}
    check_identities(tables, day)
    with pytest.raises(IdentityError, match="1 campaigns break the rule"):
        wrong = pl.when(pl.int_range(pl.len()) == 0).then(pl.col(column) + 1).otherwise(column).alias(column)
        check_identities({**tables, file: tables[file].with_columns(wrong)}, day)


def test_the_order_of_rows_does_not_matter(shop: Tenant, inputs: CampaignInputs, tmp_path: Path) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, pl.DataFrame):
            return value.sample(fraction=1, shuffle=True, seed=7)
        return {key: shuffled(item) for key, item in value.items()} if isinstance(value, dict) else value

    mixed = replace(inputs, **{name: shuffled(getattr(inputs, name)) for name in inputs.__dataclass_fields__})
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, _ = write(shop, inputs, r.DAY, tmp_path / "a")
    second, _ = write(shop, mixed, r.DAY, tmp_path / "b")
    assert [file.sha256 for file in first.files] == [file.sha256 for file in second.files]


def test_every_column_is_there_in_order(files: Rows) -> None:
    for name, rows in files.items():
        assert list(rows[0]) == CSV_FILES[name].names
    assert list(files["campaigns"][0])[-1] == "clicks_unattributed"


def test_a_tenant_without_campaigns_gets_headers(tmp_path: Path) -> None:
    shop = r.tenant(tmp_path / "home")
    content, files = write(shop, read_inputs(shop.lake, "Europe/London", [day_of(r.DAY, shop.zone)]), r.DAY, tmp_path)
    assert all(rows == [] for rows in files.values())
    assert (content.unresolved, content.completeness) == ({}, 1.0)


def test_a_version_is_valid_until_the_next() -> None:
    rows = [r.version("l", "a", r.at(day), label=str(day)) for day in (5, 7, 9)]
    gone = {**r.version("l", "b", r.at(6)), "is_deleted": True}
    history = r.table("links_history", *rows, r.version("l", "b", r.at(2)), gone)
    assert as_of(history, r.at(2)).height == 0
    assert as_of(history, r.at(3))["external_id"].to_list() == ["b"]
    assert as_of(history, r.at(7))["label"].to_list() == ["5"]
    assert as_of(history, r.at(8))["label"].to_list() == ["7"]


def test_a_link_that_arrives_after_its_clicks_counts_them(shop: Tenant, inputs: CampaignInputs, tmp_path: Path) -> None:
    url = "https://shop.example.com/late"
    late = r.table("links_history", r.version("l", "nowhere", r.at(20), campaign_id="c1", destination_url=url))
    histories = {**inputs.histories, "links": pl.concat([inputs.histories["links"], late])}
    content, files = write(shop, replace(inputs, histories=histories), r.DAY, tmp_path)
    assert [cells(row, "link_id", "clicks") for row in files["link_statistics"]] == [
        ("l1", "1"),
        ("l2", "1"),
        ("nowhere", "1"),
    ]
    assert files["campaigns"][0]["clicked"] == "4"
    assert "clicks.link_id" not in content.unresolved


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://x.example.com/", "https://x.example.com/"),
        ("https://x.example.com/?utm_source=a", "https://x.example.com/"),
        ("https://x.example.com/?a=1&utm_source=a&gclid=2&b=3", "https://x.example.com/?a=1&b=3"),
        ("https://x.example.com/?UTM_Medium=a&b=3#f", "https://x.example.com/?b=3#f"),
        ("https://x.example.com/?b=3&fbclid#f", "https://x.example.com/?b=3#f"),
        ("https://x.example.com/?not_utm_x=1", "https://x.example.com/?not_utm_x=1"),
    ],
)
def test_tracking_parameters_are_removed(url: str, clean: str) -> None:
    assert pl.select(untracked(pl.lit(url))).item() == clean
