"""The step of the cohorts: registers the present definitions and publishes every version that the days hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.history.definitions import Timeline, definition
from pipelines.cohorts.history.versions import TABLES, beside, keep, seen
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.run import results
from pipelines.config import Tenant
from pipelines.step import Writers, publish
from pipelines.storage.lake import Commit
from schemas.tables import COHORT_DEFINITIONS


def _now() -> datetime:
    return datetime.now(UTC)


def run(tenant: Tenant, days: Sequence[date], *, clock: Callable[[], datetime] = _now) -> dict[str, Commit]:
    """Publish the tables of cohorts (``versions.TABLES``) of the days.

    Args:
        tenant: whose.
        days: partitions to publish.
        clock: says when a definition was seen first.

    Raises:
        UsageError: a definition is wrong.
        MurmurError: transitions do not add up; nothing is published.
    """

    def fill(writers: Writers) -> None:
        present = cohorts(tenant)
        lines = seen(tenant, present, clock())
        keep(tenant, lines, present)
        write_ledger(tenant, lines)
        for day, rows in beside(tenant, lines, days, results, load):
            frames = (rows.membership, rows.transitions, rows.sizes, rows.suppressed)
            for table, frame in zip(TABLES, frames, strict=True):
                writers[table].put(day, frame)

    return publish(tenant, TABLES, fill)


def load(kept: dict[str, Any]) -> Cohort:
    """A definition from its registered form."""
    found = Cohort.model_validate(kept["definition"])
    found._needs = kept.get("pins", {})
    return found


def write_ledger(tenant: Tenant, lines: Timeline) -> None:
    """Replace ``cohort_definitions`` where it differs."""
    rows = [
        {
            "cohort_id": cohort,
            "place": place,
            "definition_version": each.version or None,
            "active_from": each.active_from,
            "active_to": _last_day(lines, cohort, place),
            "first_seen": datetime.fromisoformat(each.first_seen),
            "definition": _text(definition(tenant, cohort, each.version)),
        }
        for cohort, listed in lines.cohorts.items()
        for place, each in enumerate(listed, start=1)
    ]
    tenant.lake.replace(COHORT_DEFINITIONS.name, pl.DataFrame(rows, schema=COHORT_DEFINITIONS.schema, orient="row"))


def _last_day(lines: Timeline, cohort: str, place: int) -> date | None:
    following = [each.active_from for each in lines.cohorts[cohort][place:]]
    begins = min((day for day in following if day), default=None)
    return begins - timedelta(days=1) if begins else None


def _text(kept: dict[str, object] | None) -> str | None:
    if kept is None:
        return None
    return json.dumps(kept["definition"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
