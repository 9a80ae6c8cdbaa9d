"""The step that keeps ``event_log`` equal to the transitions, and the check that it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from pipelines.cohorts.history import official
from pipelines.cohorts.history.definitions import timeline
from pipelines.config import Tenant
from pipelines.delivery.event_log import difference, latest
from pipelines.step import Check, CheckResult, Step, Writers, publish
from pipelines.storage.lake import Commit


def _now() -> datetime:
    return datetime.now(UTC)


def run_event_log(
    tenant: Tenant,
    days: Sequence[date],
    *,
    clock: Callable[[], datetime] = _now,
    announce: bool = False,
) -> dict[str, Commit]:
    """Append to ``event_log`` what the transitions of some days and the log do not agree on.

    Args:
        tenant: whose.
        days: partitions to compare.
        clock: says when the difference was noticed.
        announce: also send what belongs to days before the newest.

    Raises:
        ConflictError: another run appended in between; run it again.
    """
    lake = tenant.lake

    def fill(writers: Writers) -> None:
        detected_at = clock()
        lines = timeline(tenant)
        newest = max(lake.days("cohort_transitions"), default=max(days, default=date.min))
        for day in days:
            log = lake.read("event_log", [day])
            rows = difference(
                official.transitions(tenant, day),
                log,
                detected_at=detected_at,
                newest=newest,
                announce=announce,
                active=lines.active(day).values() if lines.changed else None,
                announced=lines.announced(day) if lines.changed else (),
            )
            writers["event_log"].put(day, log.vstack(rows))

    return publish(tenant, ("event_log",), fill)


def folds_to_transitions(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """Whether what the log says, sent and withheld, is what the transitions say."""
    believed = missing = surplus = 0
    for day in days:
        told = latest(tenant.lake.read("event_log", [day]))
        claims = set(told.filter(told["is_true"])["transition_id"])
        facts = set(official.transitions(tenant, day)["transition_id"])
        believed += len(claims)
        missing += len(facts - claims)
        surplus += len(claims - facts)
    return CheckResult(
        name=FOLD.name,
        passed=not missing and not surplus,
        description=FOLD.description,
        evidence={"believed": believed, "missing": missing, "surplus": surplus},
    )


FOLD = Check(
    table="event_log",
    name="folds_to_transitions",
    description="The fold of the event log, sent and withheld, equals the transitions.",
    run=folds_to_transitions,
)

STEPS: tuple[Step, ...] = (
    Step(
        name="event_log",
        group="delivery",
        outputs=("event_log",),
        inputs=("cohort_transitions",),
        run=run_event_log,
        description="Tells what changed: each transition once, retractions of what late data undid.",
    ),
)

CHECKS: tuple[Check, ...] = (FOLD,)
