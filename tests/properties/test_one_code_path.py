"""Day by day, one backfill, reruns, and a rebuild from landing give the same bytes."""

from __future__ import annotations

import shutil

import pytest

from pipelines import flow
from pipelines.config import Tenant
from pipelines.freshness import Freshness
from tests.properties.digest import Digest, digest, settled
from tests.properties.simulated import land_world
from tests.properties.tenants import make_tenant


@pytest.fixture(scope="module")
def backfill(tmp_path_factory: pytest.TempPathFactory) -> Digest:
    tenant = land_world(make_tenant(tmp_path_factory.mktemp("backfill")), "autumn")
    flow.run(tenant)
    return digest(tenant)


def again(tenant: Tenant) -> Tenant:
    """The tenant as another process would open it."""
    return Tenant(tenant.config, tenant.home, tenant.folder)


def test_day_by_day_with_a_rerun_equals_a_backfill(tmp_path, backfill):
    tenant = land_world(make_tenant(tmp_path), "autumn")
    days = Freshness(tenant).available_days()
    for day in days:
        flow.run(again(tenant), day, day)
    assert digest(settled(again(tenant))) == backfill
    flow.run(again(tenant), days[1], days[2], force=True)
    assert digest(again(tenant)) == backfill


def test_a_rebuild_from_landing_equals_a_backfill(tmp_path, backfill):
    tenant = land_world(make_tenant(tmp_path), "autumn")
    days = Freshness(tenant).available_days()
    flow.run(tenant, last=days[1])
    shutil.rmtree(tenant.lake.root)
    shutil.rmtree(tenant.state)
    flow.run(again(tenant))
    assert digest(again(tenant)) == backfill
    shutil.rmtree(tenant.lake.root)
    flow.run(again(tenant))
    assert digest(again(tenant)) == backfill
