"""What Dagster loads: every tenant's definitions with the resources of this installation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.resources import Murmuration
from assets.tenant import tenant_definitions


def build_defs(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All tenants of the workspace; tests and staging pass their own resources."""
    given = dict(resources or {"murmuration": Murmuration()})
    workspace = given["murmuration"].workspace
    parts = [tenant_definitions(workspace.tenant(tenant_id)) for tenant_id in workspace.tenant_ids()]
    shared = dg.Definitions(resources=given, executor=dg.in_process_executor)
    return dg.Definitions.merge(shared, *parts)


@dg.definitions
def definitions() -> dg.Definitions:
    """Entry point of ``workspace.yaml``."""
    return build_defs()
