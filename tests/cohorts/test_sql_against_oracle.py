"""The SQL of every cohort gives the members that a naive evaluation gives, day after day, on rows full of edges."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import pytest

from pipelines.cohorts.sql.compile import members_sql
from tests.cohorts.rule_oracle import World, members
from tests.cohorts.streams_cases import ZONE, case, definitions, frames

COHORTS = definitions()
PLAIN = [name for name, cohort in COHORTS.items() if not cohort.of_cart and "cart" not in name]


@pytest.fixture(scope="module", params=range(4))
def streams(request):
    rows, days = case(request.param)
    connection = duckdb.connect()
    for name, frame in frames(rows).items():
        connection.register("frame", frame.to_arrow())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
    connection.execute("CREATE TABLE members_before (cohort_id VARCHAR, subject VARCHAR)")
    yield connection, rows, days
    connection.close()


@pytest.mark.parametrize("cohort_id", PLAIN)
def test_sql_equals_the_oracle(streams, cohort_id):
    connection, rows, days = streams
    world = World(COHORTS, rows, ZONE)
    before = set()
    for day, expected in zip(days, members(world, cohort_id, days), strict=True):
        connection.execute("DELETE FROM members_before")
        if before:
            connection.executemany("INSERT INTO members_before VALUES (?, ?)", sorted(before))
        sql = members_sql(cohort_id, COHORTS, day, ZONE, "GBP", tables=False)
        found = connection.execute(sql).fetchall()
        assert found == sorted(expected), (day, sql)
        before = expected
    assert timedelta(days=1) == days[1] - days[0]
