"""Values at the end of days, again in DuckDB SQL over the published facts: counts, ratios, levels, ranks, prices."""

# ruff: noqa: S608  every name in a query is a constant of this file
from __future__ import annotations

from datetime import UTC

import duckdb
import pytest

from pipelines.calendar import day_of
from pipelines.signals.run import run
from tests.signals import retailer
from tests.signals.retailer import DAYS
from tests.signals.test_against_oracle import every_snapshot, make_tenant

FACTS = (
    "product_hourly",
    "visitor_acts",
    "visitor_purchases",
    "product_daily",
    "stock_levels",
    "products_history",
)
WINDOWS = {"1h": 1, "6h": 6, "24h": 24, "3d": 72, "7d": 168, "28d": 672}
ASKED = (DAYS[7], DAYS[-1])
HOURLY = {"views": "views", "add_to_bags": "adds", "purchases": "purchases"}


@pytest.fixture(scope="module", params=["Europe/London", "Asia/Kolkata"])
def sql(request, tmp_path_factory):
    """A connection with the facts and what was published, and the tenant."""
    tenant = make_tenant(tmp_path_factory.mktemp("sql"), request.param)
    retailer.write(tenant, retailer.make(tenant.zone, 21))
    run(tenant, DAYS)
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    for table in FACTS:
        connection.register(table, tenant.lake.read(table).to_arrow())
    connection.register("signal_snapshots", every_snapshot(tenant).to_arrow())
    return connection, tenant


def instants(tenant, day):
    """The last grid instant of a day and its end."""
    end = day_of(day, tenant.zone).end
    return end.astimezone(UTC).replace(minute=0), end


def same(connection, day, signal, query, parameters=(), columns="subject, value"):
    expected = connection.execute(f"SELECT * FROM ({query}) ORDER BY 1", parameters).fetchall()
    found = connection.execute(
        f"SELECT {columns} FROM signal_snapshots WHERE date = ? AND signal_id = ? AND place IS NULL ORDER BY 1",
        [day, signal],
    ).fetchall()
    assert expected and found == expected, (day, signal)


@pytest.mark.parametrize("day", ASKED)
@pytest.mark.parametrize("act", HOURLY)
def test_counts_and_rates(sql, day, act):
    connection, tenant = sql
    at, _ = instants(tenant, day)
    for name, hours in WINDOWS.items():
        counted = f"""SELECT product_id, sum({HOURLY[act]})::DOUBLE AS n FROM product_hourly
            WHERE hour >= ?::TIMESTAMPTZ - to_hours({hours}) AND hour < ? GROUP BY 1 HAVING n > 0"""
        if connection.execute(f"SELECT count(*) FROM ({counted})", [at, at]).fetchone()[0]:
            same(connection, day, f"{act}_{name}", counted, [at, at])
            rate = f"SELECT product_id, n / {hours} FROM ({counted})"
            same(connection, day, f"velocity_{act}_{name}", rate, [at, at])


@pytest.mark.parametrize("day", ASKED)
def test_distinct_visitors(sql, day):
    connection, tenant = sql
    at, _ = instants(tenant, day)
    acts = "SELECT product_id, flockr_vid, occurred_at AS t FROM visitor_acts WHERE act = '{}'"
    sources = {
        "views": acts.format("view"),
        "add_to_bags": acts.format("add"),
        "purchases": "SELECT product_id, flockr_vid, ordered_at AS t FROM visitor_purchases",
    }
    for act, source in sources.items():
        for name, hours in {"24h": 24, "7d": 168, "28d": 672}.items():
            query = f"""SELECT product_id, count(DISTINCT flockr_vid)::DOUBLE FROM ({source})
                WHERE t >= ?::TIMESTAMPTZ - to_hours({hours}) AND t < ? GROUP BY 1"""
            same(connection, day, f"{act}_visitors_{name}", query, [at, at])


@pytest.mark.parametrize("day", ASKED)
def test_momentum(sql, day):
    """Of products that nobody published, whose first hour with demand is their first one."""
    connection, tenant = sql
    at, _ = instants(tenant, day)
    query = """
        WITH seen AS (SELECT product_id, min(hour) AS first FROM product_hourly
                      WHERE hour < $at AND views + adds + purchases > 0 GROUP BY 1),
        counts AS (SELECT product_id,
                     coalesce(sum(views) FILTER (hour >= $at::TIMESTAMPTZ - to_hours(24)), 0)::BIGINT AS x,
                     coalesce(sum(views) FILTER (hour < $at::TIMESTAMPTZ - to_hours(24)), 0)::BIGINT AS s
                   FROM product_hourly WHERE hour < $at AND hour >= $at::TIMESTAMPTZ - to_hours(696) GROUP BY 1),
        days AS (SELECT product_id, x, s,
                   least(28, (date_diff('hour', first, $at::TIMESTAMPTZ) - 24) // 24) AS d
                 FROM counts JOIN seen USING (product_id))
        SELECT product_id, (d * (x + 1)) / (s + d) FROM days WHERE d >= 2 AND x + s > 0"""
    published = [p for (p,) in connection.execute("SELECT DISTINCT external_id FROM products_history").fetchall()]
    unpublished = [p for p in published if p not in told(tenant)]
    rows = connection.execute(
        f"SELECT * FROM ({query}) WHERE list_contains($own, product_id) ORDER BY 1", {"at": at, "own": unpublished}
    ).fetchall()
    found = connection.execute(
        "SELECT subject, value FROM signal_snapshots WHERE date = ? AND signal_id = 'momentum'"
        " AND list_contains(?, subject) ORDER BY 1",
        [day, unpublished],
    ).fetchall()
    assert rows and found == rows


def told(tenant):
    rows = tenant.lake.read("products").select("external_id", "first_published_at").drop_nulls()
    return set(rows["external_id"])


@pytest.mark.parametrize("day", ASKED)
def test_runway_and_the_plain_level(sql, day):
    """The level by its bounds alone is the state or a better one: hysteresis only holds improvements back."""
    connection, tenant = sql
    _, end = instants(tenant, day)
    connection.execute("SET VARIABLE zone = ?", [tenant.zone.key])
    query = """
        WITH measured AS (SELECT *, coalesce('o:' || outlet_id, 'g:' || group_id, '') AS place FROM stock_levels
                          WHERE measured_at < $end),
        firsts AS (SELECT product_id, place, min(measured_at) AS first FROM measured GROUP BY 1, 2),
        covered AS (SELECT a.product_id, a.place, min(b.first) AS since FROM firsts a JOIN firsts b USING (product_id)
                    WHERE (b.place = '' AND a.place <> '') OR (b.place = 'g:g1' AND a.place = 'o:o2') GROUP BY 1, 2),
        steps AS (SELECT m.product_id, m.place, m.measured_at AS t, m.available FROM measured m
                  LEFT JOIN covered c USING (product_id, place) WHERE c.since IS NULL OR m.measured_at < c.since
                  UNION ALL SELECT product_id, place, since, 0 FROM covered),
        moves AS (SELECT product_id, t, sum(change) AS change FROM (
                    SELECT *, available - coalesce(lag(available) OVER (PARTITION BY product_id, place ORDER BY t), 0)
                      AS change FROM steps) GROUP BY 1, 2),
        totals AS (SELECT product_id, t, sum(change) OVER (PARTITION BY product_id ORDER BY t) AS total,
                     coalesce(lead(t) OVER (PARTITION BY product_id ORDER BY t), $end) AS until FROM moves),
        days AS (SELECT unnest($days::DATE[]) AS day, unnest($starts::TIMESTAMPTZ[]) AS start,
                        unnest($ends::TIMESTAMPTZ[]) AS stop),
        stocked AS (SELECT DISTINCT product_id, day FROM totals JOIN days ON t < stop AND until > start
                    WHERE total > 0),
        in_stock AS (SELECT product_id, count(*)::BIGINT AS d FROM stocked GROUP BY 1),
        net AS (SELECT s.product_id, coalesce(sum(units_sold - units_returned), 0)::BIGINT AS units
                FROM stocked s JOIN product_daily p ON p.product_id = s.product_id AND p.date = s.day GROUP BY 1),
        lately AS (SELECT product_id, sum(purchases) AS n FROM product_daily
                   WHERE date > $day::DATE - 7 AND date <= $day GROUP BY 1),
        now AS (SELECT product_id, arg_max(total, t)::BIGINT AS total FROM totals GROUP BY 1)
        SELECT product_id, total, coalesce(d, 0) AS d, coalesce(units, 0) AS units, coalesce(n, 0) AS lately
        FROM now LEFT JOIN in_stock USING (product_id) LEFT JOIN net USING (product_id)
          LEFT JOIN lately USING (product_id)
        ORDER BY 1"""
    days = [each for each in DAYS if each <= day][-14:]
    bounds = [day_of(each, tenant.zone) for each in days]
    asked = {"end": end, "day": day, "days": days, "starts": [b.start for b in bounds], "ends": [b.end for b in bounds]}
    rows = connection.execute(query, asked).fetchall()
    runways = snapshot(connection, day, "stock_runway_days", "value")
    states = snapshot(connection, day, "scarcity_state", "state")
    assert rows
    order = ["out", "critical", "low", "limited", "healthy"]
    for product, total, stocked, units, lately in rows:
        runway = total * stocked / units if units > 0 else None
        assert runways[product] == runway, product
        assert order.index(states[product]) <= order.index(plain_level(total, runway, lately)), product


def plain_level(total, runway, lately):
    if total <= 0:
        return "out"
    if total <= 3000 or (runway is not None and runway <= 3 and lately > 0):
        return "critical"
    if total <= 10_000 or (runway is not None and runway <= 7):
        return "low"
    return "limited" if runway is not None and runway <= 14 else "healthy"


def snapshot(connection, day, signal, column):
    rows = connection.execute(
        f"SELECT subject, {column} FROM signal_snapshots WHERE date = ? AND signal_id = ? AND place IS NULL",
        [day, signal],
    )
    return dict(rows.fetchall())


@pytest.mark.parametrize("day", ASKED)
@pytest.mark.parametrize(("signal", "act"), [("category_rank", "purchases"), ("category_rank_views", "views")])
def test_dense_rank(sql, day, signal, act):
    connection, tenant = sql
    at, _ = instants(tenant, day)
    query = f"""
        WITH counts AS (SELECT product_id, sum({act}) AS n FROM product_hourly
                        WHERE hour >= $at::TIMESTAMPTZ - to_hours(168) AND hour < $at GROUP BY 1 HAVING n > 0),
        firsts AS (SELECT external_id, min(effective_from) AS first FROM products_history GROUP BY 1),
        category AS (SELECT external_id AS product_id, arg_max(category_path, effective_from) AS path
                     FROM products_history JOIN firsts USING (external_id)
                     WHERE effective_from < $at OR effective_from = first GROUP BY 1),
        ranked AS (SELECT product_id, dense_rank() OVER (PARTITION BY path ORDER BY n DESC) AS place,
                     count(*) OVER (PARTITION BY path) AS many FROM counts JOIN category USING (product_id))
        SELECT product_id, place::DOUBLE FROM ranked WHERE many >= 3"""
    same(connection, day, signal, query, {"at": at})


@pytest.mark.parametrize("day", [DAYS[4], DAYS[7]])
def test_lowest_price(sql, day):
    """Of products that are not dropped: the price over the lowest one of the three days before it began."""
    connection, tenant = sql
    at, end = instants(tenant, day)
    query = """
        WITH changed AS (SELECT external_id, effective_from AS t, price_minor AS price,
                           lag(price_minor) OVER w AS before FROM products_history
                         WINDOW w AS (PARTITION BY external_id ORDER BY effective_from)),
        steps AS (SELECT *, lead(t) OVER (PARTITION BY external_id ORDER BY t) AS until FROM changed
                  WHERE before IS NULL OR before <> price),
        newest AS (SELECT external_id, max(t) AS t FROM steps WHERE t < $end GROUP BY 1),
        lowest AS (SELECT n.external_id, n.t, min(s.price) AS low FROM newest n JOIN steps s USING (external_id)
                   WHERE s.t < n.t AND s.until > n.t - to_days(3) GROUP BY 1, 2)
        SELECT l.external_id, s.price / l.low FROM lowest l JOIN steps s USING (external_id, t)
        WHERE l.t > $at::TIMESTAMPTZ - to_days(3) ORDER BY 1"""
    expected = dict(connection.execute(query, {"at": at, "end": end}).fetchall())
    values, states = (snapshot(connection, day, "price_change", column) for column in ("value", "state"))
    calm = {product: value for product, value in values.items() if states[product] == "normal"}
    known = {
        p
        for (p,) in connection.execute("SELECT DISTINCT subject FROM signal_snapshots WHERE date = ?", [day]).fetchall()
    }
    assert calm and calm == {p: v for p, v in expected.items() if p in known and states.get(p) != "dropped"}
