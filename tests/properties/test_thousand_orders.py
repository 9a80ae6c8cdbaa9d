"""A thousand orders of arrival end in the tables that the records say, and so does every one that is added at night."""

from __future__ import annotations

import json
import random
import re

import pytest

from pipelines import flow
from pipelines.config import Tenant
from pipelines.freshness import Freshness
from tests.properties.crowd import World, arrivals, send, smallest, straight, worlds
from tests.properties.digest import ROUNDS, Digest, differences, lake_digest
from tests.properties.tenants import tenants

#: Orders in one group; each is the order of one world.
ORDERS = 250
GROUPS = [*range(4), *(pytest.param(number, marks=pytest.mark.nightly) for number in range(4, 40))]
STAGES = ("entities", "facts", "signals", "cohorts")
_WORLD = re.compile(r"\bw(\d+)\.")


def computed(tenant: Tenant, select: tuple[str, ...] = STAGES) -> Digest:
    """Run until nothing is stale."""
    for _ in range(ROUNDS):
        if not any(outcome.commits for outcome in flow.run(tenant, select=select)):
            return lake_digest(tenant)
    raise AssertionError("the flow keeps finding stale days")


def arrived(tenant: Tenant, given: list[World], number: int) -> Tenant:
    """The worlds in orders of their own, with runs in between that see a part of them."""
    chance = random.Random(number)
    for arrival in arrivals(given, chance.choice([2, 3, 5]), chance):
        send(tenant, arrival)
        days = Freshness(tenant).available_days()
        if days and chance.random() < 0.4:
            flow.run(tenant, last=chance.choice(days), select=STAGES)
    return tenant


def differs(given: list[World], number: int) -> str:
    """What is different when the worlds come in the orders of a number; empty when nothing is."""
    with tenants(2) as (mixed, whole):
        send(whole, straight(given))
        if not Freshness(whole).available_days():
            return ""
        expected = computed(whole)
        if computed(arrived(mixed, given, number)) == expected:
            return ""
        return differences(mixed, whole) or "the exports differ"


@pytest.mark.parametrize("number", GROUPS)
def test_orders(number: int) -> None:
    crowd = worlds(ORDERS, number * ORDERS)
    assert len(crowd) == ORDERS
    found = differs(crowd, number)
    if found:
        names = {int(name) for name in _WORLD.findall(found)}
        guilty = [crowd[name - number * ORDERS] for name in sorted(names)][:1]
        alone = smallest(guilty[0], lambda fewer: bool(differs([fewer], number))) if guilty else []
        pytest.fail(f"group {number}:\n{json.dumps(alone, indent=1)}\n{found}")
