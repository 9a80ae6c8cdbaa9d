"""Where a tenant's exports go, and the ledger of what was promised and published."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from urllib.parse import urlsplit

import polars as pl

from pipelines.calendar import Day
from pipelines.config import BucketTarget, Tenant
from pipelines.errors import ConflictError, UsageError
from pipelines.exports.revision import Revision
from pipelines.storage.objects import ObjectStore, open_store
from pipelines.storage.objects.policies import bucket_policy
from schemas.tables import EXPORT_SLO

ATTEMPTS = 5

Clock = Callable[[], datetime]


def export_store(tenant: Tenant, kind: Literal["s3", "gcs"]) -> ObjectStore | None:
    """The store below the tenant's bucket and prefix; None when the tenant has no such export.

    Raises:
        UsageError: the configuration names an environment variable that is not set.
    """
    target, url = getattr(tenant.config.exports, kind), tenant.bucket_url(kind)
    if target is None or url is None:
        return None
    if not target.role_arn:
        return open_store(url, owner=target.owner)
    bucket, prefix = place_of(url)
    return open_store(
        url,
        role_arn=target.role_arn,
        external_id=external_id_of(tenant, target),
        owner=target.owner,
        session=f"murmuration-{tenant.id}"[:64],
        policy=bucket_policy(bucket, prefix),
    )


def external_id_of(tenant: Tenant, target: BucketTarget) -> str:
    """The external id of the tenant's role.

    Raises:
        UsageError: the environment variable that the configuration names is not set.
    """
    external_id = os.environ.get(target.external_id_env or "")
    if not external_id:
        raise UsageError(
            f"tenant {tenant.id}: exports.s3.external_id_env names {target.external_id_env}, which is not set"
        )
    return external_id


def place_of(url: str) -> tuple[str, str]:
    """Bucket and prefix of a store's URL."""
    parts = urlsplit(url)
    return parts.netloc, parts.path.strip("/")


def promised_at(tenant: Tenant, day: Day) -> datetime:
    """When the files of a day are due: ``exports.promised_by`` of the next day, in the tenant's zone."""
    due = time.fromisoformat(tenant.config.exports.promised_by)
    # Not from the day's date, which for open spans is no day; noon is on the day whatever the clocks do.
    ended = (day.start.astimezone(tenant.zone) + timedelta(hours=12)).date()
    return datetime.combine(ended + timedelta(days=1), due, tzinfo=tenant.zone).astimezone(UTC)


def record_published(tenant: Tenant, revisions: Sequence[tuple[Day, Revision]], clock: Clock) -> None:
    """Append revisions to ``export_slo``; those that are there already keep their instant.

    A run that was killed between publishing and recording is made good by the next one, with a later ``published_at``.
    """
    # One instant for what was published together, so that the ledger tells a backfill from the day that is new.
    now = clock()
    rows = [_row(tenant, day, revision, now) for day, revision in revisions]
    if not rows:
        return
    found = pl.DataFrame(rows, schema=EXPORT_SLO.schema, orient="row")
    for attempt in range(ATTEMPTS):
        try:
            _append(tenant, found)
            return
        except ConflictError:
            # Two kinds of export may finish at once; the ledger is read again and appended to.
            if attempt == ATTEMPTS - 1:
                raise


def _append(tenant: Tenant, found: pl.DataFrame) -> None:
    days = found["date"].unique().sort().to_list()
    with tenant.lake.writer(EXPORT_SLO.name) as writer:
        known = tenant.lake.read(EXPORT_SLO.name, days)
        fresh = found.join(known, on=EXPORT_SLO.primary_key, how="anti")
        for (day,), part in fresh.group_by("date", maintain_order=True):
            writer.put(day, pl.concat([known.filter(pl.col("date") == day), part]))


def _row(tenant: Tenant, day: Day, revision: Revision, now: datetime) -> dict[str, object]:
    manifest = revision.manifest
    return {
        "date": day.date,
        "dataset": manifest.dataset,
        "revision": revision.number,
        "promised_at": promised_at(tenant, day),
        "published_at": now.astimezone(UTC),
        "reason": manifest.reason,
        "rows": manifest.row_count,
        "completeness": manifest.completeness,
        "missing": json.dumps(manifest.unresolved, sort_keys=True, separators=(",", ":")),
    }
