"""Online Retail from invoices to orders, products, cohorts and files: equal to the facts and to SQL over the source.

Two definitions differ from the facts', and the tests say where: the facts count a customer as lapsed after n whole
calendar days without an order, the cohort at the instant n times 24 hours after the last one. At the end of a day these
agree when the cohort is asked for one day more: the last order lies before the first instant of day ``as_of - n``.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines import flow
from pipelines.cohorts.catalogue import SHIPPED
from pipelines.config import Tenant
from tests.realdata import online_retail
from tests.realdata.conftest import Once, add_tenant, ingest_files, open_tenant
from tests.realdata.truth import fact, ids_sha256, over_exports, over_lake, over_source

SOURCE = "online_retail/online_retail.parquet"
SALE = """CREATE VIEW sale AS SELECT *, CAST(InvoiceDate AS DATE) AS day FROM source
    WHERE regexp_full_match(InvoiceNo, '[0-9]{6}') AND Quantity > 0 AND UnitPrice > 0"""
#: A customer is away from an order to the next, and has lapsed once that took longer than the days of the cohort.
LAPSED = """
WITH orders AS (
    SELECT CustomerID::VARCHAR AS subject, InvoiceNo, min(InvoiceDate) AS ordered_at FROM sale
    WHERE CustomerID IS NOT NULL GROUP BY ALL
), away AS (
    SELECT subject, ordered_at + to_days($days) AS lapses_at,
        lead(ordered_at) OVER (PARTITION BY subject ORDER BY ordered_at) AS next_at FROM orders
)
SELECT subject, 'entered' AS direction, lapses_at AS effective_at FROM away
WHERE lapses_at < coalesce(next_at, TIMESTAMP '2011-09-01')
UNION ALL
SELECT subject, 'exited', next_at FROM away WHERE lapses_at < next_at
ORDER BY ALL
"""
#: The shipped definition waits three times the median gap between the orders so far, in whole microseconds, if longer.
LAPSED_AS_SHIPPED = """
WITH orders AS (
    SELECT DISTINCT CustomerID::VARCHAR AS subject, ordered_at, InvoiceNo
    FROM (SELECT CustomerID, InvoiceNo, min(InvoiceDate) AS ordered_at FROM sale
        WHERE CustomerID IS NOT NULL GROUP BY ALL)
), gaps AS (
    SELECT *, epoch_us(ordered_at) - lag(epoch_us(ordered_at)) OVER in_turn AS gap,
        lead(ordered_at) OVER in_turn AS next_at
    FROM orders WINDOW in_turn AS (PARTITION BY subject ORDER BY ordered_at, InvoiceNo)
), away AS (
    SELECT subject, ordered_at, next_at, ordered_at + to_microseconds(greatest(
        180 * 86400000000::BIGINT,
        coalesce(3 * floor(median(gap) OVER (PARTITION BY subject ORDER BY ordered_at, InvoiceNo))::BIGINT, 0)
    )) AS lapses_at
    FROM gaps
)
SELECT subject, 'entered' AS direction, lapses_at AS effective_at FROM away
WHERE lapses_at < coalesce(next_at, TIMESTAMP '2011-09-01')
UNION ALL
SELECT subject, 'exited', next_at FROM away WHERE lapses_at < next_at
ORDER BY ALL
"""
REPEATED = """
SELECT subject, 'entered' AS direction, ordered_at AS effective_at FROM (
    SELECT *, row_number() OVER (PARTITION BY subject ORDER BY ordered_at) AS n FROM (
        SELECT CustomerID::VARCHAR AS subject, InvoiceNo, min(InvoiceDate) AS ordered_at FROM sale
        WHERE CustomerID IS NOT NULL GROUP BY ALL)
) WHERE n = 2 ORDER BY ALL
"""
#: What the payload of a repeat purchaser says at the end of a day.
ORDERS_SO_FAR = """
SELECT subject, count(*) AS orders, max(ordered_at) AS last_at, sum(net)::BIGINT AS net FROM (
    SELECT CustomerID::VARCHAR AS subject, InvoiceNo, min(InvoiceDate) AS ordered_at,
        sum(round(Quantity * UnitPrice * 100)) AS net
    FROM sale WHERE CustomerID IS NOT NULL AND day <= $as_of::DATE GROUP BY ALL)
GROUP BY 1 HAVING count(*) >= 2 ORDER BY 1
"""
PRODUCT_DAYS = """
SELECT day, StockCode, count(*) AS purchases, sum(Quantity)::BIGINT * 1000 AS units_sold,
    sum(round(Quantity * UnitPrice * 100))::BIGINT AS revenue_minor
FROM sale GROUP BY ALL ORDER BY ALL
"""
AS_OF = (date(2011, 1, 31), date(2011, 3, 31), date(2011, 6, 30))
#: The file has no events and no stock, so their steps, which take a moment for each of 274 empty days, are left out.
COMPUTED = ("dimensions", "transactions", "ledgers", "order_facts", "product_facts", "cohorts")
LAPSES = (31, 60, 61, 91)


@pytest.fixture(scope="session")
def tenant(source: Path, once: Once) -> Tenant:
    def fill(root: Path) -> None:
        add_tenant(root, "GBP")
        write_lapses(root / "tenants" / "real" / "cohorts")
        (root / "files").mkdir()
        ingest_files(root, online_retail.write(source / "online_retail", root / "files"))
        computed = open_tenant(root)
        flow.run(computed, select=COMPUTED)
        export = flow.selected(["parquet_exports"])[0]
        flow.execute(export, computed, AS_OF)

    return open_tenant(once("online_retail", fill))


def write_lapses(folder: Path) -> None:
    """Definitions of their own for a lapse after each number of days, whatever the customer's own gap."""
    folder.mkdir(parents=True)
    shipped = yaml.safe_load((SHIPPED / "lapsed_shopper.yaml").read_text())
    for days in LAPSES:
        params = {"floor": {"value": f"{days}d", "unit": "duration"}, "multiple": {"value": 0, "unit": "count"}}
        definition = {**shipped, "id": f"lapsed_{days}", "params": params}
        (folder / f"lapsed_{days}.yaml").write_text(yaml.safe_dump(definition, sort_keys=False))


def members(tenant: Tenant, cohort: str, day: date) -> list[str]:
    rows = tenant.lake.scan("cohort_membership", [day]).filter((pl.col("cohort_id") == cohort) & pl.col("is_member"))
    return rows.select("subject").collect()["subject"].to_list()


def test_every_record_was_accepted(tenant: Tenant) -> None:
    counts = json.loads((tenant.home.parent / "counts.json").read_text())
    assert {entity: (count["received"], count["accepted"]) for entity, count in counts.items()} == {
        "outlets": (1, 1),
        "customers": (3360, 3360),
        "products": (3774, 3774),
        "transactions": (counts["transactions"]["received"],) * 2,
    }
    assert tenant.lake.read("unresolved_references").is_empty()


def test_transactions_hold_all_rows_of_the_file(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT sum(json_array_length(lines))::BIGINT AS n_rows,"
        " count(DISTINCT replace(external_id, '-ADJ', '')) AS invoices,"
        " count(DISTINCT customer_id) AS customers,"
        " (sum(json_array_length(lines)) FILTER (customer_id IS NULL))::BIGINT AS rows_without_customer,"
        " count(*) FILTER (external_id LIKE 'C%') AS cancel_invoices,"
        " (sum(json_array_length(lines)) FILTER (external_id LIKE 'C%'))::BIGINT AS cancel_rows,"
        " min(occurred_at)::TIMESTAMP::VARCHAR AS first_ts, max(occurred_at)::TIMESTAMP::VARCHAR AS last_ts"
        " FROM transactions",
    )
    expected = fact("online_retail", "totals").with_columns(pl.col("first_ts", "last_ts").str.replace("T", " "))
    assert found.to_dicts() == expected.select(found.columns).to_dicts()
    products = tenant.lake.read("products")
    assert products.height == fact("online_retail", "totals")["stock_codes"].item()


def test_returns_keep_their_amount_and_customer(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT sum(json_array_length(lines))::BIGINT AS n_rows, count(*) AS invoices,"
        " sum(net_minor)::BIGINT AS amount,"
        " (sum(json_array_length(lines)) FILTER (customer_id IS NULL))::BIGINT AS rows_without_customer,"
        " count(DISTINCT customer_id) AS customers FROM transactions WHERE external_id LIKE 'C%'",
    )
    assert found.rows() == minor(fact("online_retail", "returns"), "amount").rows()


def test_sales_add_up(tenant: Tenant) -> None:
    lines = tenant.lake.read("order_lines")
    found = (
        lines.height,
        lines["order_id"].n_unique(),
        lines["customer_id"].drop_nulls().n_unique(),
        lines["net_minor"].sum(),
    )
    assert found == minor(fact("online_retail", "sale_totals"), "revenue").row(0)
    orders = tenant.lake.read("customer_orders")
    assert (orders.height, orders["net_minor"].sum()) == (found[1], found[3])


def test_every_day_has_the_sales_of_its_date(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT date::VARCHAR AS d, count(*) AS sale_rows, count(DISTINCT order_id) AS orders,"
        " count(DISTINCT customer_id) AS customers, sum(net_minor)::BIGINT AS revenue,"
        " (sum(quantity) // 1000)::BIGINT AS units FROM order_lines GROUP BY 1 ORDER BY 1",
    )
    assert found.rows() == minor(fact("online_retail", "daily"), "revenue").rows()
    by_day = over_lake(
        tenant,
        "SELECT date::VARCHAR AS d, count(*) AS orders, sum(net_minor)::BIGINT AS revenue"
        " FROM customer_orders GROUP BY 1 ORDER BY 1",
    )
    assert by_day.rows() == found.select("d", "orders", "revenue").rows()


def test_customers_by_number_of_orders(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT n, count(*) FROM (SELECT customer_id, sum(orders)::BIGINT AS n FROM customer_daily GROUP BY 1)"
        " GROUP BY 1 ORDER BY 1",
    )
    assert found.rows() == fact("online_retail", "customers_by_order_count").rows()


@pytest.mark.parametrize("as_of", AS_OF, ids=str)
def test_repeat_purchasers(tenant: Tenant, as_of: date) -> None:
    expected = fact("online_retail", "repeat_purchasers").filter(pl.col("as_of") == str(as_of)).row(0, named=True)
    found = members(tenant, "repeat_purchaser", as_of)
    assert len(found) == expected["repeat_orders2"]
    assert ids_sha256(found) == expected["ids_sha256_orders2"]


@pytest.mark.parametrize("days", [30, 60, 90])
@pytest.mark.parametrize("as_of", AS_OF, ids=str)
def test_lapsed_after_whole_days(tenant: Tenant, as_of: date, days: int) -> None:
    facts = fact("online_retail", "lapsed").filter((pl.col("as_of") == str(as_of)) & (pl.col("n") == days))
    expected = facts.row(0, named=True)
    found = members(tenant, f"lapsed_{days + 1}", as_of)
    assert len(found) == expected["lapsed"]
    assert ids_sha256(found) == expected["ids_sha256"]


@pytest.mark.parametrize("as_of", AS_OF, ids=str)
def test_lapsed_at_the_boundary(tenant: Tenant, as_of: date) -> None:
    """Asked for the same number of days, the cohort has those too whose last order was just so many days ago."""
    facts = fact("online_retail", "lapsed").filter((pl.col("as_of") == str(as_of)) & (pl.col("n") == 60))
    expected = facts.row(0, named=True)
    assert expected["on_boundary"] > 0
    assert len(members(tenant, "lapsed_60", as_of)) == expected["lapsed"] + expected["on_boundary"]


def transitions(tenant: Tenant, cohort: str) -> list[tuple[object, ...]]:
    """Subject, direction and UTC wall time of every transition of a cohort, sorted."""
    rows = tenant.lake.scan("cohort_transitions").filter(pl.col("cohort_id") == cohort)
    wall = pl.col("effective_at").dt.replace_time_zone(None)
    return rows.select("subject", "direction", wall).sort(pl.all()).collect().rows()


@pytest.mark.parametrize("days", LAPSES)
def test_lapsed_is_an_instant(tenant: Tenant, days: int) -> None:
    """Entries and exits over all days are those that the gaps between a customer's orders in the source give."""
    expected = over_source(SOURCE, LAPSED, SALE, days=days)
    assert expected.height > 0
    assert transitions(tenant, f"lapsed_{days}") == expected.rows()


def test_lapsed_as_shipped(tenant: Tenant) -> None:
    expected = over_source(SOURCE, LAPSED_AS_SHIPPED, SALE)
    assert expected.height > 0
    assert transitions(tenant, "lapsed_shopper") == expected.rows()


def test_repeat_purchasers_enter_with_their_second_order(tenant: Tenant) -> None:
    assert transitions(tenant, "repeat_purchaser") == over_source(SOURCE, REPEATED, SALE).rows()


@pytest.mark.parametrize("as_of", AS_OF, ids=str)
def test_context_of_repeat_purchasers(tenant: Tenant, as_of: date) -> None:
    rows = tenant.lake.scan("cohort_membership", [as_of]).filter(pl.col("cohort_id") == "repeat_purchaser")
    last_at = pl.col("last_order_at").dt.replace_time_zone(None)
    found = rows.select("subject", "order_count_365", last_at, "ltv_minor").sort("subject").collect()
    assert found.rows() == over_source(SOURCE, ORDERS_SO_FAR, SALE, as_of=str(as_of)).rows()


def test_who_bought_again_after_a_lapse(tenant: Tenant) -> None:
    exits = (
        tenant.lake.scan("cohort_transitions")
        .filter((pl.col("cohort_id") == "lapsed_91") & (pl.col("direction") == "exited"))
        .select("subject", "effective_at")
        .collect()
    )
    for as_of, lapsed, reactivated in fact("online_retail", "reactivated_after_lapse").iter_rows():
        day = date.fromisoformat(as_of)
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        found = set(members(tenant, "lapsed_91", day))
        later = set(exits.filter(pl.col("effective_at") >= end)["subject"])
        assert (len(found), len(found & later)) == (lapsed, reactivated)


def test_product_windows(tenant: Tenant) -> None:
    """Units of the last 7 and 28 days and of those before, from the daily facts of products."""
    found = over_lake(
        tenant,
        "WITH as_dates AS (SELECT unnest(['2011-01-31', '2011-03-31', '2011-06-30'])::DATE AS as_of),"
        " windows AS (SELECT as_of, product_id,"
        " (sum(units) FILTER (date > as_of - 7))::BIGINT AS u7,"
        " coalesce(sum(units) FILTER (date <= as_of - 7 AND date > as_of - 14), 0)::BIGINT AS p7,"
        " coalesce(sum(units) FILTER (date > as_of - 28), 0)::BIGINT AS u28,"
        " coalesce(sum(units) FILTER (date <= as_of - 28 AND date > as_of - 56), 0)::BIGINT AS p28"
        " FROM as_dates JOIN (SELECT date, product_id, units_sold // 1000 AS units FROM product_daily)"
        " ON date <= as_of AND date > as_of - 56 GROUP BY 1, 2),"
        " ranked AS (SELECT *, round((u7 + 1.0) / (p7 + 1.0), 6)::DOUBLE AS ratio, row_number() OVER"
        " (PARTITION BY as_of ORDER BY (u7 + 1.0) / (p7 + 1.0) DESC, product_id) AS rk FROM windows WHERE u7 >= 50)"
        " SELECT as_of::VARCHAR, product_id, u7, p7, u28, p28, ratio, rk FROM ranked WHERE rk <= 20 ORDER BY 1, 8",
    )
    assert found.rows() == fact("online_retail", "product_momentum_top20").rows()


def test_product_lifecycle(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "WITH as_dates AS (SELECT unnest(['2011-01-31', '2011-03-31', '2011-06-30'])::DATE AS as_of),"
        " seen AS (SELECT as_of, product_id, min(date) AS first_d, max(date) AS last_d"
        " FROM as_dates JOIN product_daily ON date <= as_of WHERE purchases > 0 GROUP BY 1, 2)"
        " SELECT as_of::VARCHAR, count(*), count(*) FILTER (first_d > as_of - 28),"
        " count(*) FILTER (last_d <= as_of - 28), count(*) FILTER (first_d <= as_of - 28 AND last_d > as_of - 28)"
        " FROM seen GROUP BY 1 ORDER BY 1",
    )
    assert found.rows() == fact("online_retail", "product_lifecycle_counts").rows()


def test_products_of_every_day_equal_the_source(tenant: Tenant) -> None:
    expected = over_source(SOURCE, PRODUCT_DAYS, SALE)
    found = tenant.lake.scan("product_daily").filter(pl.col("purchases") > 0)
    columns = ["date", "product_id", "purchases", "units_sold", "revenue_minor"]
    assert found.select(columns).sort(columns).collect().rows() == expected.rows()


def test_exported_members_are_the_facts_members(tenant: Tenant) -> None:
    found = over_exports(
        tenant,
        "cohort_membership",
        "SELECT date::VARCHAR, count(*),"
        " sha256(string_agg(external_id, chr(10) ORDER BY external_id::INT)) FROM exported"
        " WHERE cohort_id = 'repeat_purchaser' AND is_member GROUP BY 1 ORDER BY 1",
    )
    expected = fact("online_retail", "repeat_purchasers").select("as_of", "repeat_orders2", "ids_sha256_orders2")
    assert found.rows() == expected.rows()


@pytest.mark.parametrize("dataset", ["cohort_membership", "cohort_transitions", "cohort_sizes"])
def test_exported_rows_are_the_lake_rows(tenant: Tenant, dataset: str) -> None:
    found = over_exports(tenant, dataset, "SELECT date, count(*) FROM exported GROUP BY 1 ORDER BY 1")
    rows = tenant.lake.rows(dataset)
    assert found.rows() == [(day, rows[day]) for day in AS_OF if rows[day]]


def minor(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """The facts' pounds as whole pence."""
    return frame.with_columns((pl.col(columns) * 100).round().cast(pl.Int64))
