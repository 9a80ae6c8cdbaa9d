"""Exports are asked for shortly before they are due, by the tenant's clock, and who is named hears what is missing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.definitions import build_defs
from assets.resources import Murmuration
from assets.retries import PATIENT, longest_wait
from pipelines.config import Workspace
from pipelines.errors import UsageError
from pipelines.exports.late import check_at, late, tell, watch
from pipelines.exports.revision import SUCCESS, Place
from pipelines.exports.target import export_store
from pipelines.landing.ingest import ingest_bytes
from pipelines.storage.objects.local import LocalStore
from schemas.exports import CAMPAIGN_FILES, DATASETS

DAY = date(2026, 3, 28)  # the clocks go forward in the night after it


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    exports = {
        "s3": {"bucket": "lake"},
        "gcs": {"bucket": "files"},
        "schedule": "10 3 * * *",
        "alert": {"url_env": "ALERT_URL"},
    }
    folder = tmp_path / "tenants" / "acme"
    folder.mkdir(parents=True)
    settings = {"id": "acme", "timezone": "Europe/London", "exports": exports}
    (folder / "tenant.yaml").write_text(yaml.safe_dump(settings))
    return Workspace(tmp_path / "home", tmp_path / "tenants")


def publish_all(workspace: Workspace, day: date, but: str = "") -> None:
    tenant = workspace.tenant("acme")
    for kind, names in (("s3", [*DATASETS]), ("gcs", [CAMPAIGN_FILES])):
        store = export_store(tenant, kind)  # type: ignore[arg-type]
        assert store is not None
        for name in names:
            if name not in (but, "identity_links"):
                store.put(f"{Place(name, day, name if kind == 's3' else '').copy}/{SUCCESS}", b"")


@pytest.mark.parametrize(
    ("day", "asked"),
    [
        (date(2026, 3, 27), datetime(2026, 3, 28, 3, 45, tzinfo=UTC)),
        (date(2026, 3, 28), datetime(2026, 3, 29, 2, 45, tzinfo=UTC)),
        (date(2026, 10, 24), datetime(2026, 10, 25, 3, 45, tzinfo=UTC)),
        (date(2026, 7, 1), datetime(2026, 7, 2, 2, 45, tzinfo=UTC)),
    ],
)
def test_it_is_a_quarter_to_four_by_the_tenants_clock(workspace: Workspace, day: date, asked: datetime) -> None:
    tenant = workspace.tenant("acme")
    assert check_at(tenant, day) == asked
    assert watch(tenant, asked.replace(minute=44)) is None
    found = watch(tenant, asked)
    assert found is not None
    assert found.date == day.isoformat()


def test_what_is_missing_is_named(workspace: Workspace) -> None:
    tenant = workspace.tenant("acme")
    publish_all(workspace, DAY, but="events")
    found = late(tenant, DAY)
    assert found is not None
    assert json.loads(found.line()) == {
        "type": "export.late",
        "tenant": "acme",
        "date": "2026-03-28",
        "promised_at": "2026-03-29T03:00:00Z",
        "missing": {"s3": ["events"]},
    }
    publish_all(workspace, DAY)
    assert late(tenant, DAY) is None


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Any:
    lines: list[Any] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            lines.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Ear)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ALERT_URL", f"http://127.0.0.1:{server.server_port}/hook?token=secret")
    yield lines
    server.shutdown()
    server.server_close()


def ask(workspace: Workspace, at: datetime) -> dg.ExecuteInProcessResult:
    """What the schedule asks for at an instant, run."""
    defs = build_defs({"murmuration": Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))})
    schedule = defs.get_repository_def().get_schedule_def("acme_exports_absence_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("45 3 * * *", "Europe/London")
    with dg.DagsterInstance.ephemeral() as instance:
        request = schedule(dg.build_schedule_context(instance=instance, scheduled_execution_time=at))
        config = {**request.run_config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = defs.resolve_job_def("acme_exports_absence")
        return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)


def test_the_run_fails_and_the_alert_is_heard(workspace: Workspace, heard: list[Any]) -> None:
    publish_all(workspace, DAY, but=CAMPAIGN_FILES)
    at = datetime(2026, 3, 29, 2, 45, tzinfo=UTC)
    result = ask(workspace, at)
    assert not result.success
    [failure] = result.get_step_failure_events()
    said = str(failure.event_specific_data)
    assert "campaign_files" in said
    assert "secret" not in said
    assert [line["missing"] for line in heard] == [{"gcs": ["campaign_files"]}]

    publish_all(workspace, DAY)
    assert ask(workspace, at).success
    assert len(heard) == 1


def test_an_alert_without_a_url_is_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALERT_URL", raising=False)
    tenant = workspace.tenant("acme")
    found = late(tenant, DAY)
    assert found is not None
    with pytest.raises(UsageError, match="ALERT_URL"):
        tell(tenant, found)


def test_exports_have_an_hour_of_their_own_and_a_deadline(workspace: Workspace) -> None:
    defs = build_defs({"murmuration": Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))})
    schedule = defs.get_repository_def().get_schedule_def("acme_exports_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("10 3 * * *", "Europe/London")
    with dg.DagsterInstance.ephemeral() as instance:
        at = datetime(2026, 10, 25, 3, 10, tzinfo=UTC)
        resources = {"murmuration": Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))}
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources=resources)
        request = schedule(context)
    assert request.partition_key == "2026-10-24"
    daily = defs.resolve_job_def("acme_daily").asset_layer.executable_asset_keys
    assert dg.AssetKey(["acme", "s3_events"]) not in daily
    assert dg.AssetKey(["acme", "cohort_sizes"]) in daily
    specs = {spec.key.path[-1]: spec for spec in defs.resolve_all_asset_specs()}
    assert "0 4 * * *" in str(specs["gcs_campaigns"].freshness_policy)
    assert specs["cohort_sizes"].freshness_policy is None


def published(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> Any:
    """A run of the campaign files against a store that fails so often, hardly waiting."""
    landed = {"external_id": "e", "event_name": "Page Viewed", "flockr_vid": "v", "occurred_at": f"{DAY}T09:00:00Z"}
    at = datetime(2026, 3, 28, 10, tzinfo=UTC)
    ingest_bytes(
        workspace.tenant("acme"), "customer_events", json.dumps(landed).encode() + b"\n", "e.ndjson", received_at=at
    )
    failures = iter([error] * times)
    put = LocalStore.put

    def failing(store: LocalStore, *given: Any, **named: Any) -> Any:
        if trouble := next(failures, None):
            raise trouble
        return put(store, *given, **named)

    monkeypatch.setattr(LocalStore, "put", failing)
    quick = dg.RetryPolicy(max_retries=PATIENT.max_retries, delay=0.01, backoff=PATIENT.backoff)
    monkeypatch.setattr("assets.retries.PATIENT", quick)
    defs = build_defs({"murmuration": Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))})
    job = defs.resolve_job_def("acme_exports")
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    [selected] = [node.name for node in job.nodes if node.name == "acme__campaign_files"]
    return job.execute_in_process(
        run_config=config, partition_key=DAY.isoformat(), op_selection=[selected], raise_on_error=False
    )


def test_a_store_that_is_away_for_a_while_is_waited_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    result = published(workspace, monkeypatch, OSError("the store is away"), 3)
    assert result.success
    kinds = [event.event_type for event in result.all_events]
    assert kinds.count(dg.DagsterEventType.STEP_UP_FOR_RETRY) == 3
    store = export_store(workspace.tenant("acme"), "gcs")
    assert store is not None
    assert store.get(f"{Place(CAMPAIGN_FILES, DAY, '').copy}/{SUCCESS}")


def test_what_another_try_would_repeat_fails_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    result = published(workspace, monkeypatch, UsageError("the bucket's name is wrong"), 9)
    assert not result.success
    [failure] = result.get_step_failure_events()
    assert "the bucket's name is wrong" in str(failure.event_specific_data)
    kinds = [event.event_type for event in result.all_events]
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds


def test_all_tries_end_before_the_files_are_due(workspace: Workspace) -> None:
    tenant = workspace.tenant("acme")
    begins = 3 * 60 + 10
    hour, minute = map(int, tenant.config.exports.promised_by.split(":"))
    assert begins + longest_wait(PATIENT) / 60 < hour * 60 + minute
    assert longest_wait(PATIENT) == 31 * 60
