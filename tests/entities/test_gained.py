"""A day that has only gained rows is put together from what was published, and is the file that landing gives."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.entities import gained, steps
from tests.conftest import make_workspace
from tests.landing.support import event, land

DAYS = [date(2026, 1, day) for day in (1, 2, 3)]
STEP = next(step for step in steps.STEPS if step.name == "customer_events")


@pytest.fixture
def taken(monkeypatch):
    """Days that were read from landing, counted."""
    read, whole = Counter(), steps.partitions

    def partitions(tenant, entity, days, *more):
        read.update(days)
        return whole(tenant, entity, days, *more)

    monkeypatch.setattr(steps, "partitions", partitions)
    return read


def row(key: str, day: int, hour: int = 9, **fields: object) -> dict[str, object]:
    return event(external_id=key, occurred_at=f"2026-01-0{day}T{hour:02}:00:00Z", **fields)


def files(tenant):
    return tenant.lake.files("customer_events")


def rebuilt(tmp_path_factory, batches):
    tenant = make_workspace(tmp_path_factory.mktemp("again")).tenant("acme")
    for batch in batches:
        land(tenant, "customer_events", batch)
    STEP.run(tenant, DAYS)
    return tenant


def test_only_days_where_ids_repeat_are_read_from_landing(tmp_path, tmp_path_factory, taken, monkeypatch):
    monkeypatch.setattr(gained, "ROW_GROUP", 2)
    tenant = make_workspace(tmp_path).tenant("acme")
    batches = [[row(f"{letter}{day}", day) for letter in "bdfhjlnp" for day in (1, 2, 3)]]
    batches.append([row("a", 1), row("e", 1), row("z", 1), row("g", 2), row("b2", 3), row("q", 2, op="delete")])
    for batch, read in zip(batches, ([1, 2, 3], [2, 3]), strict=True):
        land(tenant, "customer_events", batch)
        taken.clear()
        STEP.run(tenant, DAYS)
        assert sorted(day.day for day in taken) == read
    assert files(tenant) == files(rebuilt(tmp_path_factory, batches))
    taken.clear()
    with tenant.lake.writer("customer_events") as writer:
        writer.put(DAYS[0], tenant.lake.read("customer_events", DAYS[:1]).head(3))
    STEP.run(tenant, DAYS)
    assert list(taken) == DAYS[:1]
    assert files(tenant) == files(rebuilt(tmp_path_factory, batches))


ROWS = st.builds(
    row,
    st.sampled_from("abcdefghijklmnop"),
    st.integers(1, 3),
    st.integers(0, 23),
    op=st.sampled_from(["upsert", "upsert", "delete"]),
)


@settings(max_examples=6)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=2, max_size=4))
def test_any_batches_with_runs_between_give_what_one_run_gives(tmp_path_factory, batches):
    tenant = make_workspace(tmp_path_factory.mktemp("between")).tenant("acme")
    for batch in batches:
        land(tenant, "customer_events", batch)
        STEP.run(tenant, DAYS)
    assert files(tenant) == files(rebuilt(tmp_path_factory, batches))
