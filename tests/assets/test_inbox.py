"""A dropped file is seen by the sensor, landed by the run that it asks for, and found stale by the next sensor."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

import assets.inbox
from assets.definitions import build_defs
from assets.resources import Murmuration
from pipelines.config import Workspace
from pipelines.landing import inbox, store

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
EVENT = {"external_id": "e-1", "event_name": "x", "occurred_at": "2026-01-02T10:00:00Z", "flockr_vid": "v-1"}


class Installation:
    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self.tenant = workspace.tenant("acme")
        self.instance = instance
        self.murmuration = Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))
        self.defs = build_defs({"murmuration": self.murmuration})

    def drop(self, key: str, record: object) -> Path:
        file = self.tenant.inbox / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record) + "\n")
        written = (datetime.now(UTC) - timedelta(minutes=1)).timestamp()
        os.utime(file, (written, written))
        return file

    def look(self) -> dg.RunRequest | dg.SkipReason:
        sensor = self.defs.get_repository_def().get_sensor_def("acme_inbox_sensor")
        context = dg.build_sensor_context(instance=self.instance, resources={"murmuration": self.murmuration})
        return sensor(context)

    def run(self, request: dg.RunRequest | dg.SkipReason) -> dg.ExecuteInProcessResult:
        assert isinstance(request, dg.RunRequest)
        job = self.defs.resolve_job_def("acme_landing")
        return job.execute_in_process(
            run_config=QUIET, instance=self.instance, tags=dict(request.tags), raise_on_error=False
        )


@pytest.fixture
def installation(workspace):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Installation(workspace, instance)


def test_a_dropped_file_is_landed_by_one_run(installation):
    assert isinstance(installation.look(), dg.SkipReason)
    installation.drop("customer_events/a.ndjson", EVENT)
    installation.drop("shoes/a.ndjson", EVENT)
    request = installation.look()
    assert installation.look().run_key == request.run_key
    result = installation.run(request)
    assert result.success
    assert [receipt["source"] for receipt in store.receipts(installation.tenant, "customer_events")] == ["drop"]
    after = installation.look()
    assert isinstance(after, dg.SkipReason)
    assert "1 unknown_entity" in after.skip_message


def test_another_file_asks_for_another_run(installation):
    installation.drop("customer_events/a.ndjson", EVENT)
    first = installation.look()
    installation.drop("customer_events/b.ndjson", {**EVENT, "external_id": "e-2"})
    second = installation.look()
    assert first.run_key != second.run_key
    installation.run(first)
    assert isinstance(installation.look(), dg.SkipReason)


def test_a_failed_run_is_tried_again_after_a_pause(installation, monkeypatch):
    installation.drop("customer_events/a.ndjson", EVENT)
    request = installation.look()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_fetched", refuse)
        assert not installation.run(request).success
    waits = installation.look()
    assert isinstance(waits, dg.SkipReason)
    assert "1 runs could not land 1 objects" in waits.skip_message
    monkeypatch.setattr(assets.inbox, "_PAUSE", timedelta(0))
    again = installation.look()
    assert isinstance(again, dg.RunRequest)
    assert again.run_key != request.run_key
    assert installation.run(again).success
    assert isinstance(installation.look(), dg.SkipReason)
