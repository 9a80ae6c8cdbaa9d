"""Steps of the exports: Parquet datasets to S3 and campaign files to GCS, and the checks of what was published."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from threading import Lock

from pipelines.calendar import Day, day_of
from pipelines.cohorts.history import official
from pipelines.config import Tenant
from pipelines.exports.campaigns.inputs import TABLES as CAMPAIGN_TABLES
from pipelines.exports.campaigns.inputs import read_inputs
from pipelines.exports.campaigns.write import write_files
from pipelines.exports.datasets import dataset_pieces, definition_versions, is_asked, table_of
from pipelines.exports.inputs import SOURCES, input_versions, open_references
from pipelines.exports.parquet import write_partition
from pipelines.exports.publish import Content, publish
from pipelines.exports.revision import Place, Revision, newest_revision
from pipelines.exports.target import Clock, export_store, record_published
from pipelines.exports.verify import partition_problems
from pipelines.step import Check, CheckResult, Step
from pipelines.storage.lake import Commit
from pipelines.storage.objects import ObjectStore
from schemas.exports import CAMPAIGN_FILES, CSV_FILES, DATASETS, LEDGERS
from schemas.tables import OPEN_SPANS

Published = tuple[Day, Revision, bool]

#: The one place where publishing reads a clock: ``export_slo.published_at`` is when it happened.
NOW: Clock = partial(datetime.now, UTC)

#: Days published at once; each waits for about a dozen small requests.
WORKERS = 8

#: Datasets of spans, whose open ones lie in a partition of their own.
SPANS = ("cohort_membership_history",)

S3_OUTPUTS = {dataset: f"s3_{dataset}" for dataset in DATASETS}
GCS_OUTPUTS = {file: f"gcs_{file}" for file in CSV_FILES}


def parquet_exports(tenant: Tenant, days: Sequence[date], clock: Clock = NOW) -> dict[str, Commit]:
    """Publish what the lake holds of the days as Parquet; nothing when the tenant has no S3 target.

    Returns:
        A commit for each ``s3_<dataset>``; its version is the newest revision among the days.
    """
    return _parquet(tenant, days, [name for name in DATASETS if name not in LEDGERS], clock)


def ledger_exports(tenant: Tenant, days: Sequence[date], clock: Clock = NOW) -> dict[str, Commit]:
    """Publish what we knew and did on the days as Parquet; as ``parquet_exports``."""
    return _parquet(tenant, days, list(LEDGERS), clock)


def _parquet(tenant: Tenant, days: Sequence[date], names: Sequence[str], clock: Clock) -> dict[str, Commit]:
    """Publish some Parquet datasets of the days; nothing when the tenant has no S3 target.

    Returns:
        A commit for each ``s3_<dataset>``; its version is the newest revision among the days.
    """
    store = export_store(tenant, "s3")
    bounds = [day_of(day, tenant.zone) for day in days]
    done = {
        name: _publish_dataset(tenant, store, name, [*bounds, *_open_spans(tenant, name)])
        if store and is_asked(tenant, name)
        else []
        for name in names
    }
    record_published(tenant, [(day, revision) for published in done.values() for day, revision, _ in published], clock)
    return {S3_OUTPUTS[name]: _outcome(S3_OUTPUTS[name], done[name]) for name in names}


def _open_spans(tenant: Tenant, dataset: str) -> list[Day]:
    """The partition of what has not ended, last; its bounds are those of the newest day, at whose end it is open."""
    days = tenant.lake.days(dataset) if dataset in SPANS else []
    if len(days) < 2 or days[-1] != OPEN_SPANS:
        return []
    newest = day_of(days[-2], tenant.zone)
    return [Day(OPEN_SPANS, newest.start, newest.end)]


def _publish_dataset(tenant: Tenant, store: ObjectStore, dataset: str, bounds: Sequence[Day]) -> list[Published]:
    days = [day.date for day in bounds]
    places = [Place(dataset, day, dataset) for day in days]
    # Revisions are pinned before the first input is read: a run that paused in between must not win.
    before = _newest(store, places)
    versions = input_versions(tenant.lake, [table_of(dataset)], days)
    references = open_references(tenant.lake, dataset, days)

    def content(day: Day, folder: Path) -> Content:
        unresolved, completeness = references[day.date]
        return write_partition(
            dataset,
            tenant.id,
            day.date,
            dataset_pieces(tenant, dataset, day.date),
            folder,
            unresolved=unresolved,
            completeness=completeness,
            inputs=versions[day.date] + definition_versions(tenant, dataset, day.date),
        )

    return _publish_days(tenant, store, bounds, places, before, content)


def campaign_files(tenant: Tenant, days: Sequence[date], clock: Clock = NOW) -> dict[str, Commit]:
    """Publish the five CSV files of the days, each day's as one revision; nothing when the tenant has no GCS target.

    Returns:
        A commit for each ``gcs_<file>``; its version is the newest revision among the days.
    """
    store = export_store(tenant, "gcs")
    done = _publish_files(tenant, store, [day_of(day, tenant.zone) for day in days]) if store else []
    record_published(tenant, [(day, revision) for day, revision, _ in done], clock)
    return {output: _outcome(output, done, f"{file}.csv") for file, output in GCS_OUTPUTS.items()}


def _publish_files(tenant: Tenant, store: ObjectStore, bounds: Sequence[Day]) -> list[Published]:
    places = [Place(CAMPAIGN_FILES, day.date, "") for day in bounds]
    # Pinned before the first input is read, as above.
    before = _newest(store, places)
    inputs = read_inputs(tenant.lake, tenant.zone.key, bounds, partial(official.counting, tenant))
    return _publish_days(tenant, store, bounds, places, before, partial(write_files, inputs))


def _newest(store: ObjectStore, places: Sequence[Place]) -> list[Revision | None]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(partial(newest_revision, store), places))


def _publish_days(
    tenant: Tenant,
    store: ObjectStore,
    bounds: Sequence[Day],
    places: Sequence[Place],
    before: Sequence[Revision | None],
    content: Callable[[Day, Path], Content],
) -> list[Published]:
    """Publish days side by side: most of the time goes into waiting for the store or the disk."""
    computing = Lock()

    def one(day: Day, place: Place, pinned: Revision | None) -> Published:
        with tempfile.TemporaryDirectory() as folder:
            # Rows of one day at a time are in memory; finished files wait on the disk.
            with computing:
                finished = content(day, Path(folder))
            return day, *publish(store, place, day, tenant.zone.key, pinned, finished)

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(one, bounds, places, before))


def _outcome(output: str, done: Sequence[Published], file: str | None = None) -> Commit:
    rows: dict[date | None, int] = {
        day.date: sum(entry.rows for entry in revision.manifest.files if file in (None, entry.name))
        for day, revision, _ in done
    }
    return Commit(
        table=output,
        version=max((revision.number for _, revision, _ in done), default=0),
        rows=rows,
        changed=tuple(day.date for day, _, made in done if made),
        equal=tuple(day.date for day, _, made in done if not made),
    )


def _verified(dataset: str, kind: str, tenant: Tenant, days: Sequence[date]) -> CheckResult:
    store = export_store(tenant, "s3" if kind == "s3" else "gcs")
    folder = dataset if kind == "s3" else ""
    problems: list[str] = []
    open_too = [each.date for each in _open_spans(tenant, dataset)]
    for day in [*days, *open_too] if store and (kind != "s3" or is_asked(tenant, dataset)) else ():
        assert store is not None  # noqa: S101
        problems += partition_problems(store, Place(dataset, day, folder))
    return CheckResult(
        name="readable",
        passed=not problems,
        description="A reader finds the success marker, the manifest, and files with the rows and sha256 it names.",
        evidence={"days": len(days), "problems": len(problems), **({"first": problems[0]} if problems else {})},
    )


def _checks() -> tuple[Check, ...]:
    described = "What a reader finds is what the manifest says."
    parquet = [Check(S3_OUTPUTS[name], "readable", described, partial(_verified, name, "s3")) for name in DATASETS]
    files = Check(GCS_OUTPUTS["campaigns"], "readable", described, partial(_verified, CAMPAIGN_FILES, "gcs"))
    return (*parquet, files)


STEPS: tuple[Step, ...] = (
    Step(
        name="parquet_exports",
        group="exports",
        outputs=tuple(S3_OUTPUTS[name] for name in DATASETS if name not in LEDGERS),
        inputs=tuple(sorted({"customer_events", "unresolved_references", *SOURCES} - {"events"})),
        run=parquet_exports,
        kinds=("parquet", "s3"),
        description="Date-partitioned snappy Parquet with manifests, revisions and change lists.",
    ),
    Step(
        name="ledger_exports",
        group="exports",
        outputs=tuple(S3_OUTPUTS[name] for name in LEDGERS),
        inputs=("identity_links", "quarantine", "unresolved_references"),
        run=ledger_exports,
        kinds=("parquet", "s3"),
        description="What waits, what was refused and what was sent, as Parquet; who is who for those who ask.",
    ),
    Step(
        name="campaign_files",
        group="exports",
        outputs=tuple(GCS_OUTPUTS.values()),
        inputs=CAMPAIGN_TABLES,
        run=campaign_files,
        # Figures are cumulative, so that a correction on a day changes every later one.
        carries_state=True,
        kinds=("csv", "gcs"),
        description="The five daily CSV files of campaigns, with one manifest.",
    ),
)

CHECKS: tuple[Check, ...] = _checks()

assert {*SOURCES, *LEDGERS} == set(DATASETS)  # noqa: S101
