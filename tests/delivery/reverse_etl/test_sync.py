"""Syncs from their files to their ledgers, over HTTP, with kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.delivery.client import Answer
from pipelines.delivery.reverse_etl import sync as service
from pipelines.delivery.reverse_etl.definition import load_sync
from pipelines.delivery.reverse_etl.http import reply
from pipelines.delivery.reverse_etl.model import InvalidKeysError, desired_rows
from pipelines.errors import MurmurError, UsageError
from schemas.registry import LAKE

VALUES = "SELECT * FROM (VALUES {rows}) AS rows(k, v, day)"
CONFIG = """
model: {{sql: "{sql}"}}
key: k
mapping: {{key: k, value: v}}
mode: mirror
destination: crm
batch: {batch}
"""


class Receiver(ThreadingHTTPServer):
    """Keeps rows by key; ``trouble`` may answer with a status before a batch is applied, or kill somebody after it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows, self.requests, self.trouble = {}, [], lambda batch: None


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rows"]
        self.server.requests.append((self.headers["Authorization"], self.headers["Idempotency-Key"], len(batch)))
        status = self.server.trouble(batch)
        if status is None:
            for row in batch:
                if row["op"] == "removed":
                    self.server.rows.pop(row["key"][0], None)
                else:
                    self.server.rows[row["key"][0]] = row["fields"]["value"]
        self.send_response(status or 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def write(tenant, receiver):
    """Write the sync ``s`` with these rows in its model."""
    places, syncs = tenant.folder / "destinations", tenant.folder / "syncs"
    places.mkdir()
    syncs.mkdir()
    url = f"http://127.0.0.1:{receiver.server_port}/rows"
    (places / "crm.yaml").write_text(f"kind: http\nurl: {url}\ntoken_env: CRM_TOKEN\nallow_private: true\n")

    def to(rows, batch=500, extra=""):
        listed = ", ".join(f"({k}, {v}, DATE '2026-01-01')" for k, v in rows)
        (syncs / "s.yaml").write_text(CONFIG.format(sql=VALUES.format(rows=listed), batch=batch) + extra)

    return to


def rows(**values):
    return [(f"'{key}'", value) for key, value in values.items()]


@pytest.fixture
def murmur(workspace, monkeypatch):
    monkeypatch.setenv("CRM_TOKEN", "sesame")

    def run(*arguments):
        given = ["--home", str(workspace.home), "--tenants", str(workspace.tenants)]
        return CliRunner().invoke(cli, [*given, *arguments, "--tenant", "acme"])

    return run


def test_a_mirror_follows_its_model_and_the_ledgers_add_up(tenant, write, murmur, receiver):
    write(rows(a=1, b=1, c=1))
    said = json.loads(murmur("sync", "dry-run", "s", "--json").output)
    assert said["counts"]["added"] == 3
    assert said["rows"][0] == {"key": '["a"]', "op": "added", "fields": {"key": [None, "a"], "value": [None, 1]}}
    assert not receiver.requests
    assert murmur("sync", "run", "s").exit_code == 0
    write(rows(a=1, b=2))
    said = json.loads(murmur("sync", "dry-run", "s", "--json").output)
    assert [row["fields"] for row in said["rows"]] == [{"value": [1, 2]}, {"key": ["c", None], "value": [1, None]}]
    assert json.loads(murmur("sync", "run", "s", "--json").output)["removed"] == 1
    assert receiver.rows == {"a": 1, "b": 2}
    assert {token for token, _, _ in receiver.requests} == {"Bearer sesame"}
    runs = tenant.lake.read("sync_runs").sort("finished_at")
    counted = runs.select("added", "changed", "removed", "unchanged", "status").rows()
    assert counted == [(3, 0, 0, 0, "done"), (0, 1, 1, 1, "done")]
    changes = tenant.lake.read("sync_changelog")
    assert (changes.height, set(changes["status"])) == (5, {"succeeded"})
    standing = tenant.lake.read("sync_snapshot")
    assert standing.select("row_key", "state").rows() == [('["a"]', "in_sync"), ('["b"]', "in_sync")]
    assert standing["last_success"][0] < standing["last_success"][1]
    assert "done" in murmur("sync", "list").output


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ([("'a'", 1), ("NULL", 2)], "1 rows have null in k"),
        ([("'a'", 1), ("'a'", 2)], "1 rows repeat the k of another"),
    ],
)
def test_rows_that_cannot_be_told_apart_stop_a_sync_before_anything_is_sent(
    tenant, write, murmur, receiver, model, said
):
    write(model)
    outcome = murmur("sync", "run", "s")
    assert isinstance(outcome.exception, InvalidKeysError)
    assert said in str(outcome.exception)
    assert not receiver.requests
    assert tenant.lake.read("sync_runs").select("status", "invalid").rows() == [("failed", 1)]


def test_poison_leaves_the_others_alone_and_is_told(tenant, write, murmur, receiver):
    write(rows(**{f"k{place}": place for place in range(9)}))
    receiver.trouble = lambda batch: 422 if any(row["key"] == ["k4"] for row in batch) else None
    outcome = murmur("sync", "run", "s")
    assert outcome.exit_code == 1
    assert receiver.rows == {f"k{place}": place for place in range(9) if place != 4}
    states = tenant.lake.read("sync_snapshot").group_by("state").len().rows()
    assert sorted(states) == [("failed", 1), ("in_sync", 8)]
    refused = tenant.lake.read("sync_changelog").filter(pl.col("http_status") == 422)
    assert refused.height == sum(number for _, _, number in receiver.requests) - 8


def test_a_process_that_is_killed_leaves_nothing_out_and_every_attempt_is_told(
    workspace, tenant, write, murmur, receiver
):
    write(rows(**{f"k{place}": place for place in range(6)}), batch=2)
    program = [sys.executable, "-m", "pipelines.cli", "--home", str(workspace.home)]
    program += ["--tenants", str(workspace.tenants), "sync", "run", "s", "--tenant", "acme"]
    running = []

    def kill(batch):
        if len(receiver.requests) == 2:
            os.kill(running[0].pid, signal.SIGKILL)

    receiver.trouble = kill
    with subprocess.Popen(program, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        running.append(process)
        assert process.wait(60) == -signal.SIGKILL
    # What arrived with the kill leaves the model, and must leave the receiver as well.
    write(rows(k0=0, k1=1, k5=7))
    assert murmur("sync", "run", "s").exit_code == 0
    assert receiver.rows == {"k0": 0, "k1": 1, "k5": 7}
    runs = tenant.lake.read("sync_runs").sort("finished_at")
    assert runs["status"].to_list() == ["failed", "done"]
    changes = tenant.lake.read("sync_changelog")
    assert changes.height == sum(number for _, _, number in receiver.requests)
    assert changes.filter(pl.col("error_code") == "no_answer")["row_key"].to_list() == ['["k2"]', '["k3"]']


def test_one_run_at_a_time(tenant, write, murmur):
    write(rows(a=1))
    with service._alone(service.folder(tenant, "s"), "s"):
        assert "is running already" in str(murmur("sync", "run", "s").exception)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("key: k", "key: other"), "key: the model has no column 'other'; it has k, v, day"),
        (("value: v", "value: w"), "mapping: the model has no column 'w'"),
        (("mode: mirror", "mode: copy"), "mode: Input should be"),
        (("destination: crm", "destination: elsewhere"), "destination 'elsewhere' is not there; write it as"),
        (("model: {sql", "model: {table: batches, sql"), "give table or sql, and not both"),
        (("SELECT *", "DELETE"), "s.yaml: model: Parser Error"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tenant, write, murmur, receiver, change, said):
    write(rows(a=1))
    file = tenant.folder / "syncs" / "s.yaml"
    file.write_text(file.read_text().replace(*change))
    outcome = murmur("sync", "run", "s")
    assert isinstance(outcome.exception, MurmurError)
    assert said in str(outcome.exception)
    assert not receiver.requests


def test_a_sync_that_is_not_there(murmur):
    assert "there is no sync 'x'" in str(murmur("sync", "run", "x").exception)
    assert "no syncs yet" in murmur("sync", "list").output


def test_people_who_opted_out_leave_a_mirror(tenant, write, murmur, receiver):
    write(rows(a=1, b=1))
    murmur("sync", "run", "s")
    contract = LAKE["cohort_membership"]
    row = {"cohort_id": "suppressed:email", "definition_version": "1", "subject": "a", "membership_key": "m",
           "subject_type": "customer", "external_id": "a", "is_member": True}  # fmt: skip
    frame = contract.empty().drop("date")
    day = pl.datetime(2026, 1, 1, time_zone="UTC")
    filled = pl.DataFrame([row], schema=frame.schema).with_columns(
        entered_at=day.cast(pl.Datetime("us", "UTC")), updated_at=day.cast(pl.Datetime("us", "UTC"))
    )
    with tenant.lake.writer("cohort_membership") as writer:
        writer.put(date(2026, 1, 1), filled)
    write(rows(a=1, b=1), extra="suppress: {channel: email, customer: k}\n")
    assert murmur("sync", "run", "s").exit_code == 0
    assert receiver.rows == {"b": 1}


def test_values_become_json_without_loss(tenant, write):
    write(rows(a=1))
    file = tenant.folder / "syncs" / "s.yaml"
    sql = (
        "SELECT 'a' AS k, 1 AS number, 9007199254740993 AS big, 12.50::DECIMAL(9,2) AS money, true AS fine, "
        "DATE '2026-01-02' AS day, TIMESTAMPTZ '2026-01-02 03:04:05.678+00' AS moment, NULL::VARCHAR AS nothing, "
        "'é' AS text"
    )
    names = ("number", "big", "money", "day", "moment", "nothing", "fine", "text")
    mapping = ", ".join(f"{name}: {name}" for name in names)
    file.write_text(f'model: {{sql: "{sql}"}}\nkey: [k, number]\nmapping: {{{mapping}}}\ndestination: crm\n')
    found = desired_rows(tenant, load_sync(tenant, "s"))
    assert found["row_key"].to_list() == ['["a",1]']
    assert json.loads(found["payload"][0]) == {
        "number": 1,
        "big": 9007199254740993,
        "money": "12.50",
        "day": "2026-01-02",
        "moment": "2026-01-02T03:04:05.678Z",
        "nothing": None,
        "fine": True,
        "text": "é",
    }


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(200, None, 1, None, '{"rejected":[{"key":["a"],"code":"bad_email"}]}'), "accepted"),
        (Answer(200, None, 1, None, "<html>"), "accepted"),
        (Answer(200, None, 1, None, '{"rejected":[{"key":["a"],"code":"ann@example.com is no name"}]}'), "accepted"),
        (Answer(429, None, 1, "7"), "retry"),
        (Answer(None, "timeout", 1), "retry"),
        (Answer(None, "blocked_address", 1), "pause"),
        (Answer(401, None, 1), "pause"),
        (Answer(400, None, 1), "split"),
    ],
)
def test_what_an_answer_means(answer, verdict):
    found = reply(answer)
    assert found.verdict == verdict
    assert found.retry_after == (7.0 if answer.retry_after else None)
    code = "bad_email" if "bad_email" in (answer.response or "") else "rejected"
    assert dict(found.rejected) == ({'["a"]': code} if "rejected" in (answer.response or "") else {})


def test_a_foreign_kind_of_destination_is_refused(tenant, write, murmur):
    write(rows(a=1))
    (tenant.folder / "destinations" / "crm.yaml").write_text("kind: webhook\nurl: https://example.com\n")
    outcome = murmur("sync", "run", "s")
    assert isinstance(outcome.exception, UsageError)
    assert "crm.yaml: kind" in str(outcome.exception)
