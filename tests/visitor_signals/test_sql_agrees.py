"""Values at the end of days, again in DuckDB SQL over the facts: intent, engagement, shares, due instants."""

# ruff: noqa: S608  every name in a query is a constant of this file
from __future__ import annotations

from datetime import UTC, timedelta

import duckdb
import pytest

from pipelines.calendar import day_of
from pipelines.visitor_signals.run import run
from tests.visitor_signals.shopfront import DAYS, ZONE, make, make_tenant, put

FACTS = (
    "visitor_acts", "visitor_checkouts", "visitor_daily", "visitor_purchases", "customer_orders",
    "visitor_signal_snapshots",
)  # fmt: skip
ASKED = (DAYS[5], DAYS[7], DAYS[-1])


@pytest.fixture(scope="module", params=[31, 32])
def sql(request, tmp_path_factory):
    """A connection with the facts and what was published."""
    tenant = make_tenant(tmp_path_factory.mktemp("sql"))
    put(tenant, make(request.param))
    run(tenant, DAYS)
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    for table in FACTS:
        connection.register(table, tenant.lake.read(table).to_arrow())
    return connection


def same(connection, day, signal, query, parameters, columns="subject, value"):
    expected = connection.execute(f"SELECT * FROM ({query}) ORDER BY ALL", parameters).fetchall()
    found = connection.execute(
        f"SELECT {columns} FROM visitor_signal_snapshots WHERE date = ? AND signal_id = ? ORDER BY ALL", [day, signal]
    ).fetchall()
    assert expected and found == expected, (day, signal)


@pytest.mark.parametrize("day", ASKED)
def test_intent(sql, day):
    """Rounded powers of two in double precision are those of the table."""
    instant = day_of(day, ZONE).end.astimezone(UTC).replace(minute=0)
    query = """
        WITH acts AS (
            SELECT flockr_vid, occurred_at, count * CASE act WHEN 'view' THEN 1 ELSE 5 END AS weight
            FROM visitor_acts WHERE act IN ('view', 'add')
            UNION ALL
            SELECT flockr_vid, occurred_at, 10 FROM visitor_checkouts WHERE kind = 'started'
        ), weighed AS (
            SELECT flockr_vid,
                   sum(weight * round(1000000 * pow(2, -age / 120.0))::HUGEINT) AS ppm
            FROM (SELECT *, (epoch_us($1) - epoch_us(occurred_at)) // 60000000 AS age FROM acts WHERE occurred_at < $1)
            GROUP BY 1
        )
        SELECT flockr_vid, (least(ppm, 30000000) / 1000000)::DOUBLE FROM weighed WHERE ppm > 0
    """
    same(sql, day, "intent_score", query, [instant])


@pytest.mark.parametrize("day", ASKED)
def test_engagement(sql, day):
    query = """
        WITH known AS (SELECT least(4, ($1::DATE - (SELECT min(date) FROM visitor_daily))::INT) AS days),
        each AS (
            SELECT flockr_vid,
                   coalesce(sum(events) FILTER (WHERE date = $1), 0) AS x,
                   coalesce(sum(events) FILTER (WHERE date < $1 AND date >= $1::DATE - 4), 0) AS s
            FROM visitor_daily GROUP BY 1
        )
        SELECT flockr_vid, (days * (x + 1))::DOUBLE / (s + days)::DOUBLE FROM each, known WHERE x + s > 0 AND days >= 3
    """
    same(sql, day, "engagement_velocity", query, [day])


@pytest.mark.parametrize("day", ASKED)
def test_affinities(sql, day):
    query = """
        WITH acts AS (
            SELECT flockr_vid, category, count * CASE act WHEN 'view' THEN 1 ELSE 3 END AS weight
            FROM visitor_acts WHERE act IN ('view', 'add') AND date BETWEEN $1::DATE - 2 AND $1
            UNION ALL
            SELECT flockr_vid, category, 5 FROM visitor_purchases WHERE date BETWEEN $1::DATE - 2 AND $1
        ), totals AS (
            SELECT flockr_vid, category, sum(weight) AS part, sum(sum(weight)) OVER (PARTITION BY flockr_vid) AS whole
            FROM acts GROUP BY 1, 2
        )
        SELECT flockr_vid, category, (100 * part)::DOUBLE / whole::DOUBLE FROM totals WHERE category IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY flockr_vid ORDER BY part DESC, category) <= 2
    """
    same(sql, day, "category_affinity_vector", query, [day], "subject, item, value")


#: Sales that count at the end of a day: not all of it has come back.
COUNTING = """
    SELECT sale.* FROM customer_orders sale
    LEFT JOIN (
        SELECT sale_id, -sum(units) AS units FROM customer_orders WHERE kind = 'return' AND date <= $1 GROUP BY 1
    ) back USING (sale_id)
    WHERE kind = 'sale' AND customer_id IS NOT NULL AND date <= $1 AND coalesce(back.units, 0) < sale.units
"""


@pytest.mark.parametrize("day", ASKED)
def test_discounts(sql, day):
    query = f"""
        SELECT customer_id, (100 * count(*) FILTER (WHERE discounted))::DOUBLE / count(*) FROM ({COUNTING})
        WHERE date > $1::DATE - 5 GROUP BY 1
    """
    same(sql, day, "discount_share", query, [day])


@pytest.mark.parametrize("day", ASKED)
def test_returns(sql, day):
    query = """
        WITH sales AS (
            SELECT order_id, customer_id FROM customer_orders
            WHERE kind = 'sale' AND customer_id IS NOT NULL AND date BETWEEN $1::DATE - 3 AND $1
        ), money AS (
            SELECT sales.customer_id, sum(net_minor) FILTER (WHERE kind = 'sale') AS sold,
                   coalesce(-sum(net_minor) FILTER (WHERE kind = 'return'), 0) AS returned
            FROM customer_orders rows JOIN sales ON rows.sale_id = sales.order_id
            WHERE rows.date <= $1 AND currency = 'GBP' GROUP BY 1
        )
        SELECT customer_id, (100 * returned)::DOUBLE / sold::DOUBLE FROM money WHERE sold <> 0
    """
    same(sql, day, "return_rate", query, [day])


@pytest.mark.parametrize("day", ASKED)
def test_due(sql, day):
    last = day_of(day, ZONE).end - timedelta(microseconds=1)
    query = f"""
        WITH instants AS (
            SELECT customer_id, epoch_us(occurred_at) AS us,
                   us - lag(us) OVER (PARTITION BY customer_id ORDER BY us) AS gap
            FROM ({COUNTING})
        ), each AS (
            SELECT customer_id, max(us) AS newest, list_sort(list(gap) FILTER (WHERE gap IS NOT NULL)) AS gaps
            FROM instants GROUP BY 1
        ), known AS (
            SELECT customer_id,
                   newest + (gaps[(len(gaps) + 1) // 2] + gaps[len(gaps) // 2 + 1]) // 2 AS due
            FROM each WHERE len(gaps) > 0
        )
        SELECT customer_id, epoch_us($2) - due, due, CASE WHEN epoch_us($2) >= due THEN 'overdue' ELSE 'on_track' END
        FROM known
    """
    columns = "subject, round(value * 86400000000)::BIGINT, epoch_us(instant), state"
    same(sql, day, "next_order_due_at", query, [day, last], columns)
