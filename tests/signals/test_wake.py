"""What is looked at on a grid instant is enough: looking at every product finds the same, whatever the bounds are."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.signals.run import run
from pipelines.signals.wake import Wake
from tests.conftest import make_workspace
from tests.signals import retailer
from tests.signals.retailer import DAYS
from tests.signals.test_same_bytes import files, forget

HASTY = """
parameters:
  momentum: {history: 0, surging_count: 2, breakout_count: 3, cooldown: 1h, rising_exit: 1.19, cooling_exit: 0.81}
  lifecycle_state: {launch: 1h, discovery_views: 2, newness: 30h, trend_purchases: 1, decline: 2h, cooldown: 2h}
  category_rank: {fewest: 2}
  rank_change: {places: 1, cooldown: 1h}
  demand_state: {cooldown: 3h, rank: 2}
"""
PATIENT = """
parameters:
  momentum: {history: 3, surging_count: 1, cooldown: 30h, breakout_z: 1}
  lifecycle_state: {launch: 7h, discovery_views: 5, newness: 5d, decline: 26h, established_days: 4, cooldown: 40h}
  demand_state: {cooldown: 50h, rank: 1}
"""


@pytest.mark.parametrize(("seed", "zone"), [(31, "Europe/London"), (32, "Asia/Kolkata"), (33, "America/New_York")])
@pytest.mark.parametrize("parameters", [HASTY, PATIENT])
def test_looking_at_everything_finds_the_same(tmp_path, monkeypatch, seed, zone, parameters):
    workspace = make_workspace(tmp_path, zone)
    file = tmp_path / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + parameters)
    tenant = workspace.tenant("acme")
    retailer.write(tenant, retailer.make(tenant.zone, seed))
    run(tenant, DAYS)
    found = files(tenant)
    forget(tenant)
    looked = []
    some = Wake.at

    def everything(self, hour, touched):
        looked.append(len(some(self, hour, touched)) < self._products.height)
        return np.arange(self._products.height)

    monkeypatch.setattr(Wake, "at", everything)
    run(tenant, DAYS)
    assert files(tenant) == found
    assert any(looked)
