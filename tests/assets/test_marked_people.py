"""Marked people go through Dagster, good runs and failing ones: neither its databases nor its logs know them."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg

from assets.definitions import build_defs
from assets.materialise import instance_of
from assets.partitions import range_tags
from assets.resources import Murmuration
from pipelines.landing import batch, ingest
from tests.marked import PEOPLE, assert_unmarked
from tests.properties.messy import files

SETTINGS = Path(__file__).resolve().parents[2] / "dagster.yaml"
DAY = date(2025, 10, 25)


def test_neither_databases_nor_logs_of_dagster_know_a_marked_person(workspace, monkeypatch, capfd):
    tenant = workspace.tenant("acme")
    murmuration = Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))

    def defs() -> dg.Definitions:
        return build_defs({"murmuration": murmuration})

    def drop(entity: str, name: str, data: bytes) -> None:
        file = tenant.inbox / entity / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        written = (datetime.now(UTC) - timedelta(minutes=1)).timestamp()
        os.utime(file, (written, written))

    def run(job: str, tags: dict[str, str]) -> bool:
        return (
            defs().resolve_job_def(job).execute_in_process(instance=instance, tags=tags, raise_on_error=False).success
        )

    with instance_of(workspace, SETTINGS) as instance:
        for file in files():
            drop(*file)
        drop("nobody", f"{PEOPLE[17].email}.ndjson", b"{}")
        sensor = defs().get_repository_def().get_sensor_def("acme_inbox_sensor")
        context = dg.build_sensor_context(instance=instance, resources={"murmuration": murmuration})
        asked = sensor(context)
        assert isinstance(asked, dg.RunRequest)
        assert run("acme_landing", dict(asked.tags))
        assert run("acme_reference_data", range_tags(DAY, DAY))
        broken(monkeypatch)
        drop("customers", f"late {PEOPLE[18].email}.json", files_of("customers.json"))
        assert not run("acme_landing", {})
        said = [event.user_message + str(event.dagster_event) for event in every_event(instance)]
    assert any("internal error: ValueError" in text for text in said)
    captured = capfd.readouterr()
    assert_unmarked(workspace.home, *said, captured.out, captured.err, str(asked.tags), str(asked.run_key))


def files_of(name: str) -> bytes:
    """The bytes of one of the messy files, as no file before."""
    return b"\n" + next(data for _, named, data in files() if named == name)


def broken(monkeypatch) -> None:
    """A mistake in the code that quotes the records it was given."""

    def typed(frame, *arguments, **options):
        raise ValueError(str(frame.rows()))

    monkeypatch.setattr(batch, "typed", typed)
    assert ingest.read_batch is batch.read_batch


def every_event(instance: dg.DagsterInstance) -> list[dg.EventLogEntry]:
    return [entry for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
