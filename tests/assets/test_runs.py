"""One retailer lives through these tests in order: first computed, then told of, then corrected by late data."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import dagster as dg
import polars as pl
import pytest
from rich.console import Console

from assets.materialise import instance_of, run_job
from assets.partitions import RANGE_END, RANGE_START, range_tags
from pipelines import flow
from pipelines.delivery import endpoints
from pipelines.delivery.deliver import Control
from pipelines.delivery.signing import make_secret
from pipelines.errors import MurmurError
from pipelines.landing.ingest import ingest_file
from pipelines.step import CheckResult
from pipelines.storage.control import writing
from tests.assets.conftest import FIRST, LAST, RECEIVED

DAYS = [date(2025, 3, 28), date(2025, 3, 29), date(2025, 3, 30), date(2025, 3, 31)]


def materialisations(retailer, table):
    records = retailer.instance.fetch_materializations(dg.AssetKey(["acme", table]), limit=100).records
    return {record.partition_key: record.asset_materialization.metadata for record in reversed(records)}


def test_one_run_materialises_every_day_with_its_own_numbers(retailer):
    found = materialisations(retailer, "cohort_sizes")
    assert sorted(found) == [day.isoformat() for day in DAYS]
    sizes_of_all = retailer.tenant.lake.read("cohort_sizes")
    sizes = sizes_of_all.filter(cohort_id="cart_abandoner")
    for row in sizes.iter_rows(named=True):
        assert found[row["date"].isoformat()]["size cart_abandoner"].value == row["size"]
        rows = sizes_of_all.filter(date=row["date"]).height
        assert found[row["date"].isoformat()]["dagster/partition_row_count"].value == rows > 25
    assert found[LAST.isoformat()]["preview"].records


#: Checks that warn of the records that were held back: they are named, and groups lack a parent.
WARNING = {"references_not_too_old": "too_old", "memberships_agree": "conflicts"}


def test_every_check_passed_but_those_that_tell_of_what_was_held_back(retailer):
    failed = {}
    for check in flow.CHECKS:
        key = dg.AssetCheckKey(dg.AssetKey(["acme", check.table]), check.name)
        (record,) = retailer.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        if record.status.value != "SUCCEEDED":
            failed[check.name] = record.event.dagster_event.event_specific_data
    assert set(failed) == set(WARNING)
    for name, told in failed.items():
        assert told.severity is dg.AssetCheckSeverity.WARN
        assert told.metadata[WARNING[name]].value > 0


def test_running_again_changes_nothing(retailer):
    before = {table: retailer.tenant.lake.files(table) for table in retailer.tenant.lake.tables()}
    retailer.run("acme_daily", range_tags(FIRST, LAST))
    assert {table: retailer.tenant.lake.files(table) for table in retailer.tenant.lake.tables()} == before


class Receiver(BaseHTTPRequestHandler):
    ids: ClassVar[list[str]] = []

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.ids.append(self.headers["webhook-id"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_new_transitions_start_one_delivery_run(retailer, receiver):
    control = Control.open(retailer.workspace)
    wish = endpoints.Wish(tenant="acme", url=receiver, allow_private=True)
    with writing(control.engine) as connection:
        endpoints.add(connection, control.cipher, "ep_test", wish, make_secret(bytes(32)), 0)
    control.engine.dispose()
    request = retailer.sensor("acme_transitions_sensor")
    assert isinstance(request, dg.RunRequest)
    assert retailer.sensor("acme_transitions_sensor").run_key == request.run_key
    retailer.run("acme_deliver")
    log = retailer.tenant.lake.read("event_log").filter(pl.col("kind").str.starts_with("cohort."))
    sent = log.filter(emission="sent")["event_id"].to_list()
    assert sorted(Receiver.ids) == sorted(sent)
    assert sent, retailer.tenant.lake.read("event_log").group_by("date", "emission", "withheld_because").len().rows()
    assert isinstance(retailer.sensor("acme_transitions_sensor"), dg.SkipReason)


def test_late_data_asks_for_the_days_it_touches_up_to_the_newest(retailer):
    assert isinstance(retailer.sensor("acme_late_data_sensor"), dg.SkipReason)
    for entity, batches in retailer.held_back.items():
        for batch in batches:
            ingest_file(retailer.tenant, entity, batch, received_at=RECEIVED)
    request = retailer.sensor("acme_late_data_sensor")
    assert isinstance(request, dg.RunRequest)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (FIRST.isoformat(), LAST.isoformat())
    retailer.run("acme_daily", {RANGE_START: request.tags[RANGE_START], RANGE_END: request.tags[RANGE_END]})
    assert isinstance(retailer.sensor("acme_late_data_sensor"), dg.SkipReason)


def test_a_late_link_asks_for_the_days_that_it_changes_once_it_is_folded(retailer, tmp_path):
    cart = retailer.tenant.lake.read("cart_activity", [LAST]).row(0, named=True)
    who = {"flockr_vid": cart["flockr_vid"], "customer_id": "c-late"}
    link = {**who, "resolution_event": "login", "occurred_at": f"{LAST}T00:00:01Z"}
    file = tmp_path / "late.ndjson"
    file.write_text(json.dumps(link) + "\n")
    ingest_file(retailer.tenant, "identity_links", file, received_at=RECEIVED)
    assert isinstance(retailer.sensor("acme_late_data_sensor"), dg.SkipReason)
    retailer.run("acme_reference_data", range_tags(LAST, LAST))
    request = retailer.sensor("acme_late_data_sensor")
    assert isinstance(request, dg.RunRequest)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (LAST.isoformat(), LAST.isoformat())
    retailer.run("acme_daily", range_tags(LAST, LAST))
    assert isinstance(retailer.sensor("acme_late_data_sensor"), dg.SkipReason)


def test_a_failed_check_stops_what_is_downstream(retailer, monkeypatch):
    def refuse(tenant, days):
        return CheckResult("transitions_add_up", False, "never holds", {"wrong": 1})

    broken = [replace(check, run=refuse) if check.name == "transitions_add_up" else check for check in flow.CHECKS]
    monkeypatch.setattr(flow, "CHECKS", tuple(broken))
    run = retailer.run("acme_daily", range_tags(LAST, LAST), fail=True)
    done = {event.step_key for event in run.all_events if event.is_step_success}
    assert "acme__cohorts" in done
    assert "acme__parquet_exports" not in done


def test_the_demo_runner_names_the_step_that_failed(workspace):
    settings = Path(__file__).resolve().parents[2] / "dagster.yaml"
    long_ago = (date(1999, 1, 1), date(1999, 1, 2))
    with instance_of(workspace, settings) as instance, pytest.raises(MurmurError, match=r"acme_cohorts failed: acme__"):
        run_job(workspace, instance, "acme", "cohorts", long_ago, Console(quiet=True))
