"""Shared fixtures: a workspace of its own for each test, and hypothesis profiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipelines.config import Tenant, Workspace

settings.register_profile(
    "default", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

#: Files that take longest, longest first. A worker takes a whole file (``--dist loadfile``), so these must begin first.
LONGEST = (
    "properties/test_thousand_orders.py",
    "properties/test_late_changes.py",
    "properties/test_late_data.py",
    "assets/test_runs.py",
    "faults/test_killed.py",
    "faults/test_killed_exports.py",
    "properties/test_any_order.py",
    "docs/test_commands.py",
    "readers/test_spark.py",
    "cohorts/history/test_changes.py",
    "cohorts/test_engine_against_sql.py",
    "signals/test_same_bytes.py",
    "visitor_signals/test_same_bytes.py",
    "visitor_signals/test_as_cohorts_say.py",
    "entities/test_erase.py",
    "realdata/test_rees46.py",
    "realdata/test_online_retail.py",
    "properties/test_late_categories.py",
    "properties/test_one_code_path.py",
    "cohorts/test_same_bytes.py",
)

TENANT = """
id: acme
timezone: {zone}
currency: GBP
exports:
  s3: {{bucket: acme-exports, prefix: murmuration}}
  gcs: {{bucket: acme-campaigns, prefix: daily}}
"""


def make_workspace(root: Path, zone: str = "Europe/London") -> Workspace:
    """A workspace with one tenant, ``acme``."""
    folder = root / "tenants" / "acme"
    folder.mkdir(parents=True)
    (folder / "tenant.yaml").write_text(TENANT.format(zone=zone))
    return Workspace(root / "home", root / "tenants")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


@pytest.fixture
def tenant(workspace: Workspace) -> Tenant:
    return workspace.tenant("acme")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker waits for another at the end."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
