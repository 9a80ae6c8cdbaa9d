"""Many tiny retailers in one tenant, so that a thousand orders of arrival cost a few runs.

Each world keeps its ids to itself and meets the others only in batches, days and totals. A table that depends on
arrival shows it in the rows of the world whose order it was, and that world can be tried alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pipelines.config import Tenant
from tests.properties.small_world import RECORDS, Drawn
from tests.properties.tenants import FORMS, land

World = list[Drawn]
#: What arrives together, in the order in which its files are sent: entity, records, format.
Arrival = list[tuple[str, list[dict[str, Any]], str]]
#: Share of records that are sent once more.
AGAIN = 0.15
_ID = re.compile(r"^(external_id|flockr_vid|merged_into|entityId|campaignId|.*_ids?)$")
#: Ids that are the same for every retailer.
_COMMON = ("audience_cohort_id",)


def worlds(count: int, first: int) -> list[World]:
    """Worlds of ten to forty records; the ids of each begin with its number."""
    drawn: list[World] = []

    @seed(first)
    @settings(
        max_examples=count,
        database=None,
        derandomize=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(RECORDS, min_size=10, max_size=40))
    def draw(records: World) -> None:
        drawn.append(records)

    draw()
    return [
        [(entity, renamed(record, f"w{number}.")) for entity, record in records]
        for number, records in enumerate(drawn, start=first)
    ]


def renamed(value: Any, prefix: str, is_id: bool = False) -> Any:
    """The value with ``prefix`` before every id in it."""
    if isinstance(value, dict):
        inside = {"id"} if set(value) == {"id"} else set()
        return {
            key: renamed(found, prefix, key in inside or (bool(_ID.match(key)) and key not in _COMMON))
            for key, found in value.items()
        }
    if isinstance(value, list):
        return [renamed(found, prefix, is_id) for found in value]
    return prefix + value if is_id and isinstance(value, str) else value


def arrivals(given_worlds: Sequence[World], count: int, chance: random.Random) -> list[Arrival]:
    """Every world in an order of its own: shuffled, split over ``count`` arrivals, some records sent again."""
    sent: list[list[Drawn]] = [[] for _ in range(count)]
    for world in given_worlds:
        # Some worlds come at once, some trickle in.
        places = [chance.randrange(count) for _ in range(chance.randint(1, count))]
        for record in [*world, *(record for record in world if chance.random() < AGAIN)]:
            sent[chance.choice(places)].append(record)
    return [_files(records, chance) for records in sent]


def _files(records: list[Drawn], chance: random.Random) -> Arrival:
    files = []
    for entity in sorted({name for name, _ in records}):
        mine = [record for name, record in records if name == entity]
        chance.shuffle(mine)
        files.append((entity, mine, chance.choice(FORMS)))
    chance.shuffle(files)
    return files


def send(tenant: Tenant, arrival: Arrival) -> None:
    """Land the files of an arrival; every record must be fit to be taken."""
    for entity, records, form in arrival:
        for receipt in land(tenant, entity, records, form):
            assert not receipt.quarantined, f"{entity}: records of the test are refused"


def straight(given_worlds: Sequence[World]) -> Arrival:
    """Every record once, in one file for each entity."""
    everything = [record for world in given_worlds for record in world]
    return [
        (entity, [record for name, record in everything if name == entity], "ndjson")
        for entity in sorted({name for name, _ in everything})
    ]


def smallest(world: World, fails: Any) -> World:
    """The world without every record that the failure does not need."""
    for record in list(world):
        fewer = [kept for kept in world if kept is not record]
        if fails(fewer):
            world = fewer
    return world
