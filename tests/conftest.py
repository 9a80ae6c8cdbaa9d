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
