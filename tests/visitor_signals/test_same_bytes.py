"""Days taken alone, together or cut anywhere are the same files, whatever the order of rows, and when late."""

from __future__ import annotations

import copy
import itertools
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.visitor_signals.run import OUTPUTS, STEP, run
from tests.visitor_signals.shopfront import BOUNDS, DAYS, make, make_tenant, put


def files(tenant):
    return {table: tenant.lake.files(table) for table in OUTPUTS if tenant.lake.exists(table)}


def forget(tenant):
    for table in OUTPUTS:
        shutil.rmtree(tenant.lake.root / table, ignore_errors=True)
    shutil.rmtree(tenant.state / STEP, ignore_errors=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tenant with facts, and the files of all days in one run."""
    tenant = make_tenant(tmp_path_factory.mktemp("whole"))
    put(tenant, make(4))
    run(tenant, DAYS)
    return tenant, files(tenant)


@settings(max_examples=3)
@given(cuts=st.sets(st.integers(1, len(DAYS) - 1), max_size=4))
def test_days_taken_apart_are_equal(whole, cuts):
    tenant, expected = whole
    forget(tenant)
    edges = [0, *sorted(cuts), len(DAYS)]
    for first, last in itertools.pairwise(edges):
        run(tenant, DAYS[first:last])
    assert files(tenant) == expected


def test_a_day_alone_is_equal(whole):
    tenant, expected = whole
    forget(tenant)
    run(tenant, [DAYS[6]])
    assert files(tenant) == {table: {DAYS[6]: days[DAYS[6]]} for table, days in expected.items()}


@settings(max_examples=2)
@given(seed=st.integers(0, 1000))
def test_order_of_rows_does_not_matter(whole, seed):
    tables = copy.deepcopy(make(4))
    for rows in tables.values():
        random.Random(seed).shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        tenant = make_tenant(Path(folder))
        put(tenant, tables)
        run(tenant, DAYS)
        assert files(tenant) == whole[1]


def test_late_rows_count_as_if_they_had_been_there(tmp_path):
    tenant, fresh = make_tenant(tmp_path / "late"), make_tenant(tmp_path / "fresh")
    tables = make(5)
    put(tenant, tables)
    run(tenant, DAYS)
    at = BOUNDS[DAYS[3]][0] + 7
    late = copy.deepcopy(tables)
    late["visitor_acts"].append({**late["visitor_acts"][0], "occurred_at": at, "act": "view", "product_id": "p1"})
    late["customer_orders"].append({**late["customer_orders"][0], "order_id": "late", "sale_id": "late",
                                    "occurred_at": at, "kind": "sale", "customer_id": "c1"})  # fmt: skip
    put(tenant, late)
    run(tenant, DAYS[3:])
    put(fresh, late)
    run(fresh, DAYS)
    assert files(tenant) == files(fresh)
    before = files(tenant)
    run(tenant, DAYS[-1:])
    assert files(tenant) == before
