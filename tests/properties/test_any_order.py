"""Any order, any batching, duplicates and delays, with runs in between, end in the same tables and data files."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, field
from datetime import date

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from pipelines import flow
from pipelines.config import Tenant
from pipelines.freshness import Freshness
from tests.properties.digest import Digest, differences, digest, settled
from tests.properties.simulated import as_file, land_world, lines_of
from tests.properties.small_world import RECORDS
from tests.properties.tenants import FORMS, land_all, land_bytes, make_tenant, tenants

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
DAYS = [date(2025, 10, day) for day in (24, 25, 26, 27)]
#: Batches that arrive one after another.
ARRIVALS = 3
ARRIVAL = st.integers(0, ARRIVALS - 1)
#: What is run after a batch: nothing, everything, or the days up to one.
RUN = st.one_of(st.none(), st.just("all"), st.sampled_from(DAYS))


def run_days(tenant: Tenant, until: str | date | None) -> None:
    """Bring a tenant up to date, up to a day, or not at all."""
    if until is not None and Freshness(tenant).available_days():
        flow.run(tenant, last=None if until == "all" else until)


# Few, since test_thousand_orders tries many; these go through exports too, and shrink.
@settings(max_examples=400 if NIGHTLY else 3)
@given(
    records=st.lists(st.tuples(RECORDS, ARRIVAL), min_size=2, max_size=40),
    again=st.lists(st.tuples(st.integers(0, 39), ARRIVAL), max_size=4),
    runs=st.lists(RUN, min_size=ARRIVALS, max_size=ARRIVALS),
    forms=st.lists(st.sampled_from(FORMS), min_size=ARRIVALS, max_size=ARRIVALS),
)
def test_small_worlds(records, again, runs, forms):
    arrived = [*records, *((records[index][0], batch) for index, batch in again if index < len(records))]
    with tenants() as (mixed, straight):
        for number, run in enumerate(runs):
            land_all(mixed, [drawn for drawn, when in arrived if when == number], forms[number])
            run_days(mixed, run)
        land_all(straight, [drawn for drawn, _ in records])
        if not Freshness(straight).available_days():
            return
        settled(mixed)
        flow.run(straight)
        if digest(mixed) != digest(straight):
            for drawn, when in arrived:
                note(f"batch {when}: {json.dumps(drawn)}")
            pytest.fail(f"runs {runs}, forms {forms}:\n{differences(mixed, straight)}")


@dataclass(frozen=True)
class Reference:
    """A computed tenant, and its digest out of the way of a failure's report."""

    tenant: Tenant
    digest: Digest = field(repr=False)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The simulated world sent in one batch for each entity and computed in one run."""
    tenant = land_world(make_tenant(tmp_path_factory.mktemp("straight")), "autumn")
    flow.run(tenant)
    return Reference(tenant, digest(tenant))


# A seed does not shrink, so that the first failure is the one to read.
@settings(max_examples=100 if NIGHTLY else 2, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32), runs=st.lists(RUN, min_size=ARRIVALS, max_size=ARRIVALS))
def test_a_simulated_retailer(straight, seed, runs):
    with tenants(1) as (mixed,):
        for run, arrival in zip(runs, disordered(random.Random(seed)), strict=True):
            for entity, lines in arrival:
                land_bytes(mixed, entity, as_file(lines))
            run_days(mixed, run)
        settled(mixed)
        if digest(mixed) != straight.digest:
            pytest.fail(f"seed {seed}, runs {runs}:\n{differences(mixed, straight.tenant)}")


def disordered(chance: random.Random) -> list[list[tuple[str, list[str]]]]:
    """What arrives one after another, as batches (entity, lines): shuffled, split, delayed, rows and files repeated."""
    arrivals: list[list[tuple[str, list[str]]]] = [[] for _ in range(ARRIVALS)]
    for entity, known in lines_of("autumn").items():
        lines = [*known, *chance.sample(known, len(known) // 10)]
        chance.shuffle(lines)
        cuts = sorted(chance.randrange(len(lines) + 1) for _ in range(chance.randrange(4)))
        files = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True) if a < b]
        for file in [*files, *chance.sample(files, chance.randrange(2))]:
            chance.choice(arrivals).append((entity, file))
    for arrival in arrivals:
        chance.shuffle(arrival)
    return arrivals
