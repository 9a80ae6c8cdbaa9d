"""The one resource: where this installation lives. Secrets stay in the environment."""

import dagster as dg

from pipelines.config import Tenant, Workspace


class Murmuration(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Home and tenants of an installation; empty values fall back to MURMUR_HOME and MURMUR_TENANTS."""

    home: str = ""
    tenants: str = ""

    @property
    def workspace(self) -> Workspace:
        """The workspace that these folders name."""
        return Workspace.from_environment(self.home or None, self.tenants or None)

    def tenant(self, tenant_id: str) -> Tenant:
        """One tenant, read anew, so that a changed file is seen by the next run."""
        return self.workspace.tenant(tenant_id)
