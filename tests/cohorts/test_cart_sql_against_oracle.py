"""The SQL of the cart cohorts gives the members that a simulation gives that goes instant by instant."""

from __future__ import annotations

import pytest

from pipelines.calendar import day_of
from pipelines.cohorts.sql.compile import members_sql
from pipelines.cohorts.sql.scope import micros
from pipelines.signals.units import DAY, HOUR, MINUTE
from tests.cohorts.oracle import Settings, Simulation
from tests.cohorts.streams_cases import SMALL_CARTS, ZONE, cart_case, definitions, loaded_carts

COHORTS = definitions(SMALL_CARTS)
CARTS = ["cart_abandoned_low_stock", "cart_abandoner", "high_value_cart_abandoner"]
SETTINGS = Settings(30 * MINUTE, 2 * DAY, 1000, 50, 2, 80, 24 * HOUR)


@pytest.mark.parametrize("seed", range(6))
def test_members_at_the_ends_of_days(seed):
    steps, orders, crossings, days = cart_case(seed)
    bounds = [(micros(day_of(day, ZONE).start), micros(day_of(day, ZONE).end)) for day in days]
    expected = Simulation(steps, orders, crossings, bounds, SETTINGS).run()
    with loaded_carts(steps, orders, crossings) as connection:
        for day, shown in zip(days, expected.ends, strict=True):
            for name in CARTS:
                sql = members_sql(name, COHORTS, day, ZONE, "GBP", tables=False)
                assert connection.execute(sql).fetchall() == sorted(key for key in shown if key[0] == name), (day, sql)
