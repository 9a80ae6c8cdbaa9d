"""A small retailer, computed once through Dagster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.partitions import range_tags
from assets.resources import Murmuration
from pipelines.config import Tenant, Workspace
from pipelines.landing.ingest import ingest_file
from pipelines.simulator import Disorder, SimulationConfig, simulate, write
from tests.conftest import make_workspace

FIRST, LAST = date(2025, 3, 28), date(2025, 3, 31)  # the clocks change on the 30th
RECEIVED = datetime(2025, 4, 1, tzinfo=UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Retailer:
    workspace: Workspace
    tenant: Tenant
    instance: dg.DagsterInstance
    held_back: dict[str, list[Path]]

    @property
    def murmuration(self) -> Murmuration:
        return Murmuration(home=str(self.workspace.home), tenants=str(self.workspace.tenants))

    @property
    def defs(self) -> dg.Definitions:
        return build_defs({"murmuration": self.murmuration})

    def run(self, job: str, tags: dict[str, str] | None = None, *, fail: bool = False) -> dg.ExecuteInProcessResult:
        definition = self.defs.resolve_job_def(job)
        result = definition.execute_in_process(
            run_config=QUIET, instance=self.instance, tags=tags or {}, raise_on_error=False
        )
        assert result.success is not fail, [event.step_key for event in result.get_step_failure_events()]
        return result

    def sensor(self, name: str) -> Any:
        sensor = self.defs.get_repository_def().get_sensor_def(name)
        context = dg.build_sensor_context(instance=self.instance, resources={"murmuration": self.murmuration})
        return sensor(context)


@pytest.fixture(scope="session")
def retailer(tmp_path_factory):
    root = tmp_path_factory.mktemp("retailer")
    workspace = make_workspace(root)
    tenant = workspace.tenant("acme")
    config = SimulationConfig(tenant.zone, FIRST, LAST, visitors=400, seed=5, history_days=0)
    files = write(simulate(config), root / "files", Disorder(shuffle=True, delay=0.05, batches=2))
    for entity, batches in files.items():
        ingest_file(tenant, entity, batches[0], received_at=RECEIVED)
    with dg.DagsterInstance.ephemeral() as instance:
        made = Retailer(workspace, tenant, instance, {name: batches[1:] for name, batches in files.items()})
        made.run("acme_daily", range_tags(FIRST, LAST))
        yield made
