"""Streams that SQL reads from tables are those of a naive reading, and every cohort asked of the tables is right."""
# ruff: noqa: S608 (names of relations only)

from __future__ import annotations

import pytest

from pipelines.calendar import day_of
from pipelines.cohorts.sql.compile import members_sql
from pipelines.cohorts.sql.scope import micros
from pipelines.cohorts.sql.statement import Statement
from pipelines.cohorts.sql.streams import add_stream
from tests.cohorts.rule_oracle import members
from tests.cohorts.rule_rows import World
from tests.cohorts.stream_oracle import all_streams
from tests.cohorts.streams_cases import ZONE, definitions
from tests.cohorts.tables_cases import loaded_tables, tables_case

COHORTS = definitions()
PLAIN = [name for name, cohort in COHORTS.items() if not cohort.of_cart and "cart" not in name]


def shaped(rows):
    """Rows without order; a row that stands for one event may leave that out."""
    filled = ({"times": 1, **each} for each in rows)
    return sorted((sorted((name, item(value)) for name, value in each.items()) for each in filled), key=repr)


def item(value):
    return sorted(value) if isinstance(value, list) else int(value) if isinstance(value, bool | int) else value


@pytest.mark.parametrize("seed", range(3))
def test_streams_equal_a_naive_reading(seed):
    tables, days = tables_case(seed)
    start = micros(day_of(days[2], ZONE).start)
    expected = all_streams(tables, "GBP", start, ZONE)
    with loaded_tables(tables, ZONE) as connection:
        for name, rows in expected.items():
            statement = Statement()
            relation = name if name != "customer_order" else "customer_order_in_groups"
            add_stream(statement, relation, start, "GBP")
            found = connection.execute(statement.text(f"SELECT * FROM {relation}"))
            names = [column[0] for column in found.description]
            got = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
            if name == "customer_order":
                got = [{**each, "group_id": each["group_id"] or []} for each in got]
            assert shaped(got) == shaped(rows), (seed, name)


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("cohort_id", PLAIN)
def test_members_from_tables(seed, cohort_id):
    tables, days = tables_case(seed)
    day = days[2]
    streams = all_streams(tables, "GBP", micros(day_of(day, ZONE).start), ZONE)
    expected = members(World(COHORTS, streams, ZONE), cohort_id, [day])[0]
    with loaded_tables(tables, ZONE) as connection:
        sql = members_sql(cohort_id, COHORTS, day, ZONE, "GBP")
        assert connection.execute(sql).fetchall() == sorted(expected), sql
