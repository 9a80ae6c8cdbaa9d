from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import polars as pl
from sqlalchemy import select

from pipelines.config import Tenant
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import micros
from pipelines.delivery.outbox import Filled, sync_outbox
from pipelines.delivery.published import published_events
from pipelines.storage.control.tables import events
from schemas.tables import EXPORT_SLO, OPEN_SPANS
from tests.delivery.receivers import DAY, NOON, add_endpoint, rows_of

HOUR = timedelta(hours=1)


def row(day: date = DAY, revision: int = 1, at: datetime = NOON, dataset: str = "cohort_sizes") -> dict[str, object]:
    return {
        "date": day,
        "dataset": dataset,
        "revision": revision,
        "promised_at": NOON,
        "published_at": at,
        "reason": "initial" if revision == 1 else "late_data",
        "rows": 7,
        "completeness": 0.5,
        "missing": '{"products":1}',
    }


def back(days: int) -> date:
    return DAY - timedelta(days=days)


def told(*rows: dict[str, object]) -> list[tuple[str, str]]:
    found = published_events("acme", pl.DataFrame(list(rows), schema=EXPORT_SLO.schema))
    return sorted(found.select("subject", "kind").rows())


def test_a_new_day_is_published_and_a_new_revision_restates_it() -> None:
    assert told(row(), row(revision=2, at=NOON + HOUR)) == [
        ("cohort_sizes/2026-01-05", "export.published"),
        ("cohort_sizes/2026-01-05", "export.restated"),
    ]


def test_of_days_published_together_the_newest_is_told() -> None:
    assert told(row(back(2)), row(back(1)), row()) == [("cohort_sizes/2026-01-05", "export.published")]


def test_days_published_one_after_another_are_all_told_whenever_they_are_looked_at() -> None:
    assert len(told(row(back(1), at=NOON), row(at=NOON + 24 * HOUR))) == 2


def test_a_later_backfill_is_withheld_and_its_restatement_is_not() -> None:
    late, again = row(back(5), at=NOON + HOUR), row(back(5), 2, NOON + 2 * HOUR)
    assert told(row(), late, again) == [
        ("cohort_sizes/2025-12-31", "export.restated"),
        ("cohort_sizes/2026-01-05", "export.published"),
    ]


def test_datasets_do_not_mix_and_spans_without_end_make_no_day_a_backfill() -> None:
    other = row(DAY + timedelta(days=1), dataset="signal_windows", at=NOON - HOUR)
    endless = row(OPEN_SPANS, at=NOON - HOUR)
    assert len(told(row(), other, endless)) == 3


def test_the_data_say_where_the_manifest_is() -> None:
    found = published_events(
        "acme", pl.DataFrame([row(), row(dataset="campaign_files")], schema=EXPORT_SLO.schema)
    ).sort("subject")
    campaign, sizes = (json.loads(text) for text in found["payload"])
    assert campaign["manifest"] == "v1/date=2026-01-05/_manifest.json"
    assert sizes == {
        "completeness": 0.5,
        "dataset": "cohort_sizes",
        "date": "2026-01-05",
        "manifest": "v1/cohort_sizes/date=2026-01-05/_manifest.json",
        "promised_at": "2026-01-05T12:00:00.000Z",
        "published_at": "2026-01-05T12:00:00.000Z",
        "reason": "initial",
        "revision": 1,
        "rows": 7,
        "unresolved": {"products": 1},
    }


def write(tenant: Tenant, *rows: dict[str, object]) -> None:
    frame = pl.DataFrame(list(rows), schema=EXPORT_SLO.schema).sort(EXPORT_SLO.primary_key)
    with tenant.lake.writer(EXPORT_SLO.name) as writer:
        for (day,), part in frame.group_by("date", maintain_order=True):
            writer.put(day, part)


def test_the_outbox_takes_over_what_was_published_once(control: Control, tenant: Tenant) -> None:
    add_endpoint(control, "http://127.0.0.1:9/", "ep_files", event_types=("export.*",))
    add_endpoint(control, "http://127.0.0.1:9/", "ep_cohorts")
    write(tenant, row())
    assert sync_outbox(control.engine, tenant, micros(NOON)) == Filled(1, 1)
    assert sync_outbox(control.engine, tenant, micros(NOON)) == Filled(0, 0)
    write(tenant, row(), row(revision=2, at=NOON + HOUR))
    assert sync_outbox(control.engine, tenant, micros(NOON)) == Filled(1, 1)
    stored = rows_of(control, select(events).order_by(events.c.sequence))
    assert [(each["type"], each["subject"]) for each in stored] == [
        ("export.published", "export:cohort_sizes/2026-01-05"),
        ("export.restated", "export:cohort_sizes/2026-01-05"),
    ]
