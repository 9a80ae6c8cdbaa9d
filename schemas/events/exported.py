"""Events about files: a day of a dataset was published, or replaced by a newer revision."""

from __future__ import annotations

from schemas.events.model import EventType, Field
from schemas.tables import EXPORT_SLO

_REASONS = next(column.enum for column in EXPORT_SLO.columns if column.name == "reason")

_FIELDS = (
    Field("dataset", "string", required=True, description="Dataset; campaign_files for the five CSV files of a day."),
    Field("date", "string", required=True, format="date", description="Tenant day; 9999-12-31 for spans without end."),
    Field("revision", "integer", required=True, description="1 for the first."),
    Field("reason", "string", required=True, enum=tuple(_REASONS or ()), description="Why it was published."),
    Field("rows", "integer", required=True, description="Rows of all its files."),
    Field("published_at", "string", required=True, format="date-time", description="When."),
    Field("promised_at", "string", required=True, format="date-time", description="When it was due."),
    Field("completeness", "number", description="Share of references that resolve, from 0 to 1."),
    Field("unresolved", "object", description="References that do not, by kind."),
    Field("manifest", "string", required=True, description="Key of the manifest below the bucket's prefix."),
)
_PUBLISHED = {
    "dataset": "cohort_membership",
    "date": "2026-01-05",
    "revision": 1,
    "reason": "initial",
    "rows": 48210,
    "published_at": "2026-01-06T01:42:10.000Z",
    "promised_at": "2026-01-06T04:00:00.000Z",
    "completeness": 0.9987,
    "unresolved": {"products": 12},
    "manifest": "v1/cohort_membership/date=2026-01-05/_manifest.json",
}
_SUBJECT = "export:cohort_membership/2026-01-05"

EXPORT_EVENTS: tuple[EventType, ...] = (
    EventType(
        "export.published",
        _FIELDS,
        "The files of a day are there for the first time.",
        _SUBJECT,
        _PUBLISHED,
    ),
    EventType(
        "export.restated",
        _FIELDS,
        "The files of a day were replaced: load them again.",
        _SUBJECT,
        {**_PUBLISHED, "revision": 2, "reason": "late_data", "rows": 48213},
    ),
)
