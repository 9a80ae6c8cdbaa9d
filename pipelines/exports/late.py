"""What was promised and is not there: asked shortly before the promise, and told to whoever is responsible."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from pipelines.calendar import day_of
from pipelines.config import Tenant
from pipelines.errors import MurmurError, UsageError
from pipelines.exports.datasets import is_asked
from pipelines.exports.manifest import rfc3339
from pipelines.exports.revision import SUCCESS, Place
from pipelines.exports.target import export_store, promised_at
from schemas.exports import CAMPAIGN_FILES, DATASETS

Post = Callable[[str, bytes], None]

#: Before the promise where the tenant does not say; the same as of ``exports.alert``.
MINUTES_BEFORE = 15
_SECONDS = 10


@dataclass(frozen=True)
class Late:
    """Exports of a day that are not there.

    Attributes:
        tenant: whose.
        date: the day.
        promised_at: when its files are due, RFC 3339.
        missing: datasets by kind of export; ``campaign_files`` are the five of GCS.
    """

    tenant: str
    date: str
    promised_at: str
    missing: dict[str, list[str]]

    def line(self) -> bytes:
        """One line of JSON of type ``export.late``."""
        return (json.dumps({"type": "export.late", **asdict(self)}, sort_keys=True) + "\n").encode()


def watched_day(tenant: Tenant, now: datetime) -> tuple[date, datetime]:
    """The day whose files are due next or were due last, at ``now``, and when it is asked about.

    The instants are of the tenant's clock: on the days on which it is changed the promise is an hour nearer or further.
    """
    today = now.astimezone(tenant.zone).date()
    return today - timedelta(days=1), check_at(tenant, today - timedelta(days=1))


def check_at(tenant: Tenant, day: date) -> datetime:
    """When it is asked whether the files of a day are there: some minutes before the promise."""
    alert = tenant.config.exports.alert
    before = timedelta(minutes=alert.minutes_before if alert else MINUTES_BEFORE)
    return promised_at(tenant, day_of(day, tenant.zone)) - before


def late(tenant: Tenant, day: date) -> Late | None:
    """What of a day's exports has no success marker yet; None when everything is there."""
    kinds: tuple[Literal["s3", "gcs"], ...] = ("s3", "gcs")
    missing: dict[str, list[str]] = {}
    for kind in kinds:
        store = export_store(tenant, kind)
        if store is None:
            continue
        places = [Place(name, day, name) for name in DATASETS if is_asked(tenant, name)]
        wanted = places if kind == "s3" else [Place(CAMPAIGN_FILES, day, "")]
        absent = [place.dataset for place in wanted if not store.exists(f"{place.copy}/{SUCCESS}")]
        if absent:
            missing[kind] = absent
    due = promised_at(tenant, day_of(day, tenant.zone))
    return Late(tenant.id, day.isoformat(), rfc3339(due), missing) if missing else None


def watch(tenant: Tenant, now: datetime) -> Late | None:
    """What is missing of yesterday's files once it is time to ask; None before that, and when all is there."""
    day, asked_at = watched_day(tenant, now)
    return late(tenant, day) if now.astimezone(UTC) >= asked_at else None


def tell(tenant: Tenant, found: Late, post: Post | None = None) -> bool:
    """Post the line to the tenant's alert URL.

    Returns:
        Whether there is one.

    Raises:
        UsageError: the environment variable that holds the URL is not set, or it is none.
        MurmurError: it was not taken.
    """
    alert = tenant.config.exports.alert
    if alert is None:
        return False
    url = os.environ.get(alert.url_env)
    if not url or urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"tenant {tenant.id}: exports.alert.url_env names {alert.url_env}, which holds no URL")
    (post or _post)(url, found.line())
    return True


def _post(url: str, line: bytes) -> None:
    request = urllib.request.Request(url, data=line, headers={"Content-Type": "application/json"}, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return
    except OSError as error:
        # The URL may hold a token.
        raise MurmurError(f"the alert was not taken: {type(error).__name__}") from None
