"""REES46 from clicks to abandoned carts and files: equal to the facts and to SQL over the source.

The facts ask of each user whether the last cart event was followed by a purchase within the window. The cohort is told
at the first silence after an order and lasts while nothing is bought, so somebody who carts again stays in it. At the
end of the silence after the last cart event both mean the same, which is what is compared; what the cohort says
meanwhile is compared with SQL of its own. All else differs only by the five rows that the file holds twice.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines import flow
from pipelines.config import Tenant
from pipelines.storage.hashing import file_sha256
from schemas import exports
from tests.realdata import rees46
from tests.realdata.conftest import Once, add_tenant, ingest_files, murmur, open_tenant
from tests.realdata.truth import fact, ids_sha256, over_exports, over_lake, over_source

SOURCE = "rees46/events.parquet"
DAY = date(2019, 10, 1)
DATA_END = datetime(2019, 10, 1, 2, 50, tzinfo=UTC)
#: Tables that tell what was received and said, which depends on arrival by its nature.
LEDGERS = (
    "batches",
    "batch_partitions",
    "quarantine",
    "unresolved_references",
    "event_log",
    "export_slo",
    "cohort_definitions",
)
WINDOWS = (5, 10, 20, 30, 60)
ROWS = "CREATE VIEW rows AS SELECT DISTINCT * EXCLUDE (file_row_number) FROM source"
#: An epoch of a cart goes from one purchase to the next; a purchase in the second of a cart event comes after it.
ABANDONED = """
WITH adds AS (SELECT DISTINCT user_id, event_time AS t FROM rows WHERE event_type = 'cart'),
orders AS (SELECT DISTINCT user_id, event_time AS t FROM rows WHERE event_type = 'purchase'),
silences AS (
    SELECT user_id, t + to_minutes($minutes) AS enters_at,
        lead(t) OVER (PARTITION BY user_id ORDER BY t) AS next_add,
        (SELECT min(o.t) FROM orders o WHERE o.user_id = adds.user_id AND o.t >= adds.t) AS next_order
    FROM adds
), entries AS (
    SELECT user_id, next_order, min(enters_at) AS enters_at FROM silences
    WHERE enters_at < coalesce(next_order, TIMESTAMPTZ '2019-10-02 00:00:00+00')
        AND enters_at < coalesce(next_add, TIMESTAMPTZ '2019-10-02 00:00:00+00')
    GROUP BY ALL
)
SELECT user_id::VARCHAR AS subject, 'entered' AS direction, enters_at AS effective_at FROM entries
UNION ALL
SELECT user_id::VARCHAR, 'exited', next_order FROM entries WHERE next_order IS NOT NULL
ORDER BY ALL
"""
#: What is in the cart at the end of the silence was carted after the last purchase before it.
VALUABLE = """
WITH orders AS (SELECT DISTINCT user_id, event_time AS t FROM rows WHERE event_type = 'purchase'),
adds AS (SELECT user_id, event_time AS t, price FROM rows WHERE event_type = 'cart'),
ends AS (SELECT user_id, max(t) AS last_add, max(t) + to_minutes($minutes) AS t FROM adds GROUP BY 1)
SELECT user_id::VARCHAR AS subject FROM adds JOIN ends USING (user_id)
WHERE ends.t <= TIMESTAMPTZ '2019-10-01 02:50:00+00'
    AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.user_id = adds.user_id AND o.t BETWEEN adds.t AND ends.t)
GROUP BY 1 HAVING sum(price) >= 250
"""


@pytest.fixture(scope="session")
def root(source: Path, once: Once) -> Path:
    def fill(place: Path) -> None:
        add_tenant(place, "USD")
        (place / "files").mkdir()
        ingest_files(place, rees46.write(source / "rees46", place / "files"))
        flow.run(open_tenant(place))

    return once("rees46", fill)


@pytest.fixture(scope="session")
def tenant(root: Path) -> Tenant:
    return open_tenant(root)


@pytest.fixture(scope="session", params=WINDOWS, ids=lambda minutes: f"{minutes}min")
def after(request: pytest.FixtureRequest, root: Path, once: Once) -> tuple[int, Tenant]:
    """A window, and the tenant with that window and a floor of 250 dollars for a valuable cart."""
    minutes: int = request.param

    def fill(place: Path) -> None:
        shutil.copytree(
            root / "home", place / "home", ignore=shutil.ignore_patterns("buckets", "definitions", "cohort*")
        )
        parameters = {"cart_abandoner": {"silence": f"{minutes}m"}, "high_value_cart_abandoner": {"floor": 25000}}
        add_tenant(place, "USD", parameters)
        flow.run(open_tenant(place), select=["cohorts"])

    return minutes, open_tenant(once(f"rees46-{minutes}", fill))


def transitions(tenant: Tenant, cohort: str) -> pl.DataFrame:
    rows = tenant.lake.scan("cohort_transitions").filter(pl.col("cohort_id") == cohort)
    return rows.select("subject", "direction", "effective_at").sort(pl.all()).collect()


def members_at(moves: pl.DataFrame, instants: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``instants`` (subject, at) whose subject is in the cohort then, the instant of entry included."""
    joined = instants.join(moves, on="subject").filter(pl.col("effective_at") <= pl.col("at"))
    last = joined.sort("effective_at").group_by("subject", "at").agg(pl.col("direction").last())
    return last.filter(pl.col("direction") == "entered")


def last_adds(tenant: Tenant) -> pl.DataFrame:
    adds = tenant.lake.scan("cart_activity").filter(pl.col("step") == "add")
    return adds.group_by(pl.col("flockr_vid").alias("subject")).agg(pl.col("occurred_at").max().alias("at")).collect()


def test_rows_that_stand_twice_are_duplicates(root: Path, tenant: Tenant) -> None:
    totals = fact("rees46", "totals").row(0, named=True)
    counts = json.loads((root / "counts.json").read_text())
    assert counts["customer_events"] == {
        "received": totals["n_rows"],
        "accepted": totals["distinct_rows"],
        "duplicate": totals["n_rows"] - totals["distinct_rows"],
        "superseded": 0,
        "quarantined": 0,
    }
    assert counts["products"]["accepted"] == totals["products"]


def test_totals(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT count(*) AS distinct_rows, count(DISTINCT flockr_vid) AS users, count(DISTINCT session_id) AS sessions,"
        " count(DISTINCT product_id) AS products,"
        " min(occurred_at)::VARCHAR AS t0, max(occurred_at)::VARCHAR AS t1 FROM customer_events",
    )
    assert found.to_dicts() == fact("rees46", "totals").select(found.columns).to_dicts()
    brands = over_lake(tenant, "SELECT count(DISTINCT brand) FROM products").item()
    assert brands == fact("rees46", "totals")["brands"].item()
    shared = "SELECT session_id FROM customer_events GROUP BY 1 HAVING count(DISTINCT flockr_vid) > 1"
    assert over_lake(tenant, shared).height == fact("rees46", "totals")["sessions_with_several_users"].item()


def test_visitors_of_the_day_add_up(tenant: Tenant) -> None:
    found = tenant.lake.read("visitor_daily").select(pl.col("views", "adds", "orders").sum()).row(0)
    kinds = over_source(SOURCE, "SELECT event_type, count(*) FROM rows GROUP BY 1", ROWS)
    expected = dict(kinds.iter_rows())
    assert found == (expected["view"], expected["cart"], expected["purchase"])
    assert expected["purchase"] == fact("rees46", "totals")["purchases"].item()


def test_every_ten_minutes(tenant: Tenant) -> None:
    query = (
        "SELECT time_bucket(INTERVAL 10 MINUTE, {at})::VARCHAR AS b, count(*) AS n,"
        " count(*) FILTER ({kind} = '{view}') AS views, count(*) FILTER ({kind} = '{cart}') AS carts,"
        " count(*) FILTER ({kind} = '{purchase}') AS purchases FROM {rows} GROUP BY 1 ORDER BY 1"
    )
    names = {"at": "occurred_at", "kind": "event_name", "rows": "customer_events", **rees46.NAMES}
    found = over_lake(tenant, query.format(**names))
    again = {"at": "event_time", "kind": "event_type", "view": "view", "cart": "cart", "purchase": "purchase"}
    distinct = over_source(SOURCE, query.format(rows="rows", **again), ROWS)
    assert found.rows() == distinct.rows()
    twice = "CREATE VIEW twice AS SELECT * EXCLUDE (file_row_number) FROM source EXCEPT ALL SELECT * FROM rows"
    repeated = over_source(SOURCE, query.format(rows="twice", **again), ROWS, twice)
    columns = ["n", "views", "carts", "purchases"]
    whole = pl.concat([found, repeated]).group_by("b").agg(pl.col(columns).sum()).sort("b")
    assert whole.rows() == fact("rees46", "by_10_minutes").rows()


def test_products_most_viewed(tenant: Tenant) -> None:
    found = tenant.lake.read("product_daily").filter(pl.col("views") > 0).select("product_id", "views", "viewers")
    expected = over_source(
        SOURCE,
        "SELECT product_id::VARCHAR, count(*), count(DISTINCT user_id) FROM rows WHERE event_type = 'view' GROUP BY 1",
        ROWS,
    )
    assert sorted(found.rows()) == sorted(expected.rows())
    # A product of the list may have been seen once more in the file, by a row that stands there twice.
    twice = over_source(
        SOURCE,
        "SELECT product_id::VARCHAR, count(*) - count(DISTINCT (user_id, event_time, user_session)) AS more"
        " FROM source WHERE event_type = 'view' GROUP BY 1 HAVING more > 0",
    )
    more = dict(twice.iter_rows())
    listed = {str(product): (views, users) for product, views, users in fact("rees46", "most_viewed_top20").iter_rows()}
    seen = {product: (views + more.get(product, 0), viewers) for product, views, viewers in found.iter_rows()}
    assert {product: seen[product] for product in listed} == listed


@pytest.mark.parametrize("signal", ["views_24h", "views_7d", "views_28d"])
def test_view_signals_at_the_end_of_the_day(tenant: Tenant, signal: str) -> None:
    rows = tenant.lake.scan("signal_windows", [DAY]).filter(pl.col(signal) > 0)
    found = rows.select("subject", signal).sort("subject").collect()
    expected = over_source(
        SOURCE,
        "SELECT product_id::VARCHAR AS subject, count(*) FILTER (event_type = 'view') FROM rows GROUP BY 1 ORDER BY 1",
        ROWS,
    )
    assert found.rows() == expected.rows()


def test_purchases_without_a_cart(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT count(*), count(*) FILTER (NOT EXISTS (SELECT 1 FROM cart_activity c WHERE c.step = 'add'"
        " AND c.flockr_vid = p.flockr_vid AND c.product_id = p.product_id AND c.occurred_at <= p.occurred_at))"
        " FROM cart_activity p WHERE p.step = 'order'",
    )
    assert found.rows() == fact("rees46", "purchases_without_a_cart_event").rows()
    assert tenant.lake.read("visitor_orders").height == found.item(0, 0)


def test_orders_wait_for_their_transactions(tenant: Tenant) -> None:
    waiting = tenant.lake.read("unresolved_references")
    assert set(waiting["target_entity"]) == {"transactions"}
    assert waiting.height == fact("rees46", "totals")["purchases"].item()


def test_carts_by_user_and_product(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "WITH last AS (SELECT flockr_vid, product_id, max(occurred_at) AS t FROM cart_activity WHERE step = 'add'"
        " GROUP BY ALL), judged AS (SELECT t + INTERVAL 60 MINUTE <= TIMESTAMPTZ '2019-10-01 02:50:00+00' AS elapsed,"
        " EXISTS (SELECT 1 FROM cart_activity p WHERE p.step = 'order' AND p.flockr_vid = last.flockr_vid"
        " AND p.product_id = last.product_id AND p.occurred_at BETWEEN t AND t + INTERVAL 60 MINUTE) AS bought"
        " FROM last)"
        " SELECT count(*), count(*) FILTER (bought), count(*) FILTER (NOT bought AND elapsed),"
        " count(*) FILTER (NOT bought AND NOT elapsed) FROM judged",
    )
    assert found.rows() == fact("rees46", "carts_not_bought_in_60min_user_product").rows()


def test_sessions_that_only_looked(tenant: Tenant) -> None:
    found = over_lake(
        tenant,
        "SELECT n, count(*), count(DISTINCT flockr_vid) FROM (SELECT session_id, any_value(flockr_vid) AS flockr_vid,"
        " count(*) FILTER (event_name = 'Product Viewed') AS views, count(*) FILTER (event_name <> 'Product Viewed')"
        " AS others, max(occurred_at) AS t FROM customer_events WHERE session_id IS NOT NULL GROUP BY 1)"
        " CROSS JOIN (SELECT unnest([1, 2, 3, 5, 10]) AS n)"
        " WHERE others = 0 AND views >= n AND t <= TIMESTAMPTZ '2019-10-01 02:20:00+00' GROUP BY 1 ORDER BY 1",
    )
    assert found.rows() == fact("rees46", "browse_abandonment").rows()


def test_views_of_the_last_hour(tenant: Tenant) -> None:
    """The file holds views twice only within the last hour, so that the hour before is as the facts have it."""
    query = (
        "SELECT {product}::VARCHAR AS product, count(*) FILTER ({at} > TIMESTAMPTZ '2019-10-01 01:50:00+00') AS v1,"
        " count(*) FILTER ({at} <= TIMESTAMPTZ '2019-10-01 01:50:00+00'"
        " AND {at} > TIMESTAMPTZ '2019-10-01 00:50:00+00') AS v0"
        " FROM {rows} WHERE {kind} = '{view}' GROUP BY 1 ORDER BY 1"
    )
    ours = query.format(
        product="product_id", at="occurred_at", rows="customer_events", kind="event_name", **rees46.NAMES
    )
    theirs = {"product": "product_id", "at": "event_time", "kind": "event_type", "view": "view"}
    found = over_lake(tenant, ours)
    assert found.rows() == over_source(SOURCE, query.format(rows="rows", **theirs), ROWS).rows()
    whole = over_source(SOURCE, query.format(rows="source", **theirs))
    ratio = ((pl.col("v1") + 1.0) / (pl.col("v0") + 1.0)).round(6).alias("ratio")
    listed = whole.filter(pl.col("v1") >= 10).with_columns(ratio, pl.col("product").cast(pl.Int64))
    top = listed.sort("ratio", "product", descending=[True, False]).head(20)
    assert (
        top.rows()
        == fact("rees46", "product_view_momentum_top20").drop("brand").select("product_id", "v1", "v0", "ratio").rows()
    )


def test_no_price_changes(tenant: Tenant) -> None:
    changed = "SELECT product_id FROM customer_events GROUP BY 1 HAVING count(DISTINCT value_minor) > 1"
    assert over_lake(tenant, changed).height == fact("rees46", "price_changes_within_the_slice").item()


def test_abandoned_carts_are_the_facts_at_the_end_of_the_silence(after: tuple[int, Tenant]) -> None:
    minutes, tenant = after
    facts = fact("rees46", "cart_abandonment_by_window").filter(pl.col("window_minutes") == minutes)
    expected = facts.row(0, named=True)
    ends = last_adds(tenant).with_columns(pl.col("at") + timedelta(minutes=minutes))
    assert ends.height == expected["users"]
    abandoned = members_at(transitions(tenant, "cart_abandoner"), ends.filter(pl.col("at") <= DATA_END))
    assert abandoned.height == expected["abandoned"]
    assert ids_sha256(abandoned["subject"]) == expected["abandoned_ids_sha256"]


def test_every_transition_of_abandoned_carts(after: tuple[int, Tenant]) -> None:
    minutes, tenant = after
    expected = over_source(SOURCE, ABANDONED, ROWS, minutes=minutes)
    assert transitions(tenant, "cart_abandoner").rows() == expected.rows()


def test_valuable_carts(after: tuple[int, Tenant]) -> None:
    """A cart is worth what was put into it since the last purchase, as often as it was put there."""
    minutes, tenant = after
    ends = last_adds(tenant).with_columns(pl.col("at") + timedelta(minutes=minutes)).filter(pl.col("at") <= DATA_END)
    found = members_at(transitions(tenant, "high_value_cart_abandoner"), ends)
    expected = over_source(SOURCE, VALUABLE, ROWS, minutes=minutes)
    assert sorted(found["subject"]) == sorted(expected["subject"])


def test_values_of_distinct_products_are_the_facts(after: tuple[int, Tenant]) -> None:
    """The facts count each product once, at its latest price, and also what the user had bought before."""
    minutes, tenant = after
    ends = last_adds(tenant).with_columns(pl.col("at") + timedelta(minutes=minutes)).filter(pl.col("at") <= DATA_END)
    abandoned = members_at(transitions(tenant, "cart_abandoner"), ends)
    once_each = over_lake(
        tenant,
        "SELECT flockr_vid, sum(price)::BIGINT AS value FROM (SELECT flockr_vid, product_id,"
        " max_by(unit_price_minor, occurred_at) AS price FROM cart_activity WHERE step = 'add' GROUP BY ALL)"
        " GROUP BY 1",
    )
    valuable = once_each.filter((pl.col("value") >= 25000) & pl.col("flockr_vid").is_in(abandoned["subject"].implode()))
    facts = fact("rees46", "cart_abandonment_by_window").filter(pl.col("window_minutes") == minutes)
    assert valuable.height == facts["abandoned_value_ge_250"].item()


def test_sizes_add_up(after: tuple[int, Tenant]) -> None:
    _, tenant = after
    sizes = tenant.lake.read("cohort_sizes", [DAY])
    broken = sizes.filter(pl.col("size") != pl.col("entered") - pl.col("exited"))
    assert broken.is_empty(), broken.to_dicts()
    members = tenant.lake.read("cohort_membership", [DAY]).filter("is_member").group_by("cohort_id").len()
    expected = {cohort: size for cohort, size in sizes.select("cohort_id", "size").iter_rows() if size}
    assert dict(members.iter_rows()) == expected


@pytest.mark.parametrize(
    "dataset", ["events", "cohort_membership", "cohort_transitions", "cohort_sizes", "signal_snapshots"]
)
def test_exported_rows_are_the_lake_rows(tenant: Tenant, dataset: str) -> None:
    found = over_exports(tenant, dataset, "SELECT count(*) FROM exported").item()
    assert found == tenant.lake.rows("customer_events" if dataset == "events" else dataset)[DAY]


def test_exported_members_are_the_facts_members(tenant: Tenant) -> None:
    """With the shipped 30 minutes it is the same user as with 60, whose cart is worth too little to be valuable."""
    found = over_exports(
        tenant,
        "cohort_transitions",
        "SELECT cohort_id, flockr_vid::BIGINT AS user_id, (effective_at - INTERVAL 30 MINUTE)::VARCHAR AS last_cart,"
        " cart_total_value_minor / 100 AS cart_value, json_array_length(cart_product_ids)::BIGINT AS products"
        " FROM exported WHERE direction = 'entered' AND effective_at <= TIMESTAMPTZ '2019-10-01 02:50:00+00'"
        " AND cohort_id IN ('cart_abandoner', 'high_value_cart_abandoner')",
    )
    expected = fact("rees46", "carts_not_bought_in_60min_user_list").row(0)
    assert found.rows() == [("cart_abandoner", *expected)]
    assert fact("rees46", "high_value_cart_abandoners").is_empty()


def test_exports_are_whole(root: Path, tenant: Tenant) -> None:
    for kind in ("s3", "gcs"):
        checked = murmur(root, "export", "verify", f"{tenant.bucket_url(kind)}/v1")
        assert checked["ok"] and checked["partitions"] > 0


def test_another_order_of_arrival_gives_the_same_bytes(root: Path, tenant: Tenant, tmp_path: Path) -> None:
    """Events backwards in other batches, some of them sent again, and the products last."""
    files = {path.name: path for path in (root / "files").iterdir()}
    lines = [line for name in ("events-2.ndjson", "events-1.ndjson") for line in files[name].read_text().splitlines()]
    backwards = sorted(lines, reverse=True)
    batches = [backwards[:100], backwards[100:9000], backwards[50:120], backwards[9000:]]
    paths = [tmp_path / f"{number}.ndjson" for number in range(len(batches))]
    for path, batch in zip(paths, batches, strict=True):
        path.write_text("\n".join(batch) + "\n")
    add_tenant(tmp_path, "USD")
    ingest_files(tmp_path, {"customer_events": paths, "products": [files["products.csv"]]})
    again = open_tenant(tmp_path)
    flow.run(again)
    computed = [name for name in tenant.lake.tables() if name not in LEDGERS]
    assert {name: again.lake.files(name) for name in computed} == {name: tenant.lake.files(name) for name in computed}
    published = _objects(tenant)
    assert len(published) == 17
    assert _objects(again) == published


def _objects(tenant: Tenant) -> dict[str, str]:
    """sha256 of every data file that was published, by its path below the buckets; ledgers say what we knew when."""
    buckets = tenant.home / "buckets"
    found = [path for path in buckets.rglob("date=*/*") if path.suffix in (".parquet", ".csv")]
    found = [path for path in found if path.parent.parent.name not in exports.LEDGERS]
    return {str(path.relative_to(buckets)): file_sha256(path) for path in sorted(found)}
