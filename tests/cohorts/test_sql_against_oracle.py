"""The SQL of every cohort gives the members that a naive evaluation gives, day after day, on rows full of edges."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipelines.cohorts.sql.compile import members_sql
from tests.cohorts.rule_cases import random_cohort
from tests.cohorts.rule_changes import changes
from tests.cohorts.rule_oracle import members
from tests.cohorts.rule_rows import World
from tests.cohorts.streams_cases import ZONE, case, definitions, loaded, remember

COHORTS = definitions()
PLAIN = [name for name, cohort in COHORTS.items() if not cohort.of_cart and "cart" not in name]


@pytest.fixture(scope="module", params=range(3))
def streams(request):
    rows, days = case(request.param)
    with loaded(rows) as connection:
        yield connection, rows, days


@pytest.mark.parametrize("cohort_id", PLAIN)
def test_members_at_the_ends_of_days(streams, cohort_id):
    connection, rows, days = streams
    before = set()
    for day, expected in zip(days, members(World(COHORTS, rows, ZONE), cohort_id, days), strict=True):
        remember(connection, before)
        sql = members_sql(cohort_id, COHORTS, day, ZONE, "GBP", tables=False)
        assert connection.execute(sql).fetchall() == sorted(expected), (day, sql)
        before = expected


@pytest.mark.parametrize("cohort_id", [name for name in PLAIN if COHORTS[name].evaluate == "instant"])
def test_members_around_each_change(streams, cohort_id):
    connection, rows, days = streams
    world = World(COHORTS, rows, ZONE)
    moved = changes(world, cohort_id, world.start(days[0]), world.end(days[-1]))
    members_then = set(members(world, cohort_id, [days[0] - timedelta(days=1)])[0])
    for at in sorted({at for at, *_ in moved})[:4]:
        assert asked(connection, world, cohort_id, at) == sorted(members_then), "what happens at an instant comes after"
        for when, name, subject, direction in moved:
            if when == at:
                (members_then.add if direction == "entered" else members_then.remove)((name, subject))
        assert asked(connection, world, cohort_id, at + 1) == sorted(members_then)


@pytest.mark.parametrize("cohort_id", [name for name in PLAIN if COHORTS[name].evaluate == "instant"])
def test_changes_lead_from_day_to_day(streams, cohort_id):
    _, rows, days = streams
    world = World(COHORTS, rows, ZONE)
    held = members(world, cohort_id, [days[0] - timedelta(days=1)])[0]
    for day, expected in zip(days, members(world, cohort_id, days), strict=True):
        for _, name, subject, direction in changes(world, cohort_id, world.start(day), world.end(day)):
            assert ((name, subject) in held) == (direction == "exited")
            held = held ^ {(name, subject)}
        assert held == expected


def asked(connection, world, cohort_id, as_of):
    sql = members_sql(cohort_id, COHORTS, world.day_at(as_of - 1), ZONE, "GBP", tables=False, as_of=as_of)
    return connection.execute(sql).fetchall()


@pytest.mark.parametrize("block", range(3))
def test_rules_that_nobody_would_write(block):
    rows, days = case(100 + block)
    with loaded(rows) as connection:
        for seed in range(block * 10, block * 10 + 10):
            cohort = random_cohort(seed)
            known, before = {**COHORTS, cohort.id: cohort}, set()
            for day, expected in zip(days[:3], members(World(known, rows, ZONE), cohort.id, days[:3]), strict=True):
                remember(connection, before)
                sql = members_sql(cohort.id, known, day, ZONE, "GBP", tables=False)
                assert connection.execute(sql).fetchall() == sorted(expected), (seed, day, sql)
                before = expected
