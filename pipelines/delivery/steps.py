"""The steps of delivery: changes of the referral programme, and ``event_log`` kept equal to what is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import polars as pl

from pipelines.config import Tenant
from pipelines.delivery.event_log import difference, latest
from pipelines.delivery.families import SOURCES, Facts
from pipelines.delivery.referral_changes import run_referral_changes
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
    """Append to ``event_log`` what is true of some days and the log does not say, or says and is not true.

    Args:
        tenant: whose.
        days: partitions to compare.
        clock: says when the difference was noticed.
        announce: also send what belongs to days before the newest.

    Raises:
        ConflictError: another run appended in between; run it again.
    """
    lake, facts = tenant.lake, Facts(tenant)

    def fill(writers: Writers) -> None:
        detected_at = clock()
        newest = facts.newest() or max(days, default=date.min)
        for day in days:
            log = lake.read("event_log", [day])
            rows = [
                difference(
                    facts.of(family, day),
                    log,
                    family,
                    detected_at=detected_at,
                    newest=newest,
                    announce=announce,
                    active=facts.active(family, day),
                    announced=facts.announced(family, day),
                )
                for family in facts.families
            ]
            writers["event_log"].put(day, pl.concat([log, *rows]))

    return publish(tenant, ("event_log",), fill)


def folds_to_facts(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """Whether what the log says, sent and withheld, is what transitions and crossings say."""
    facts = Facts(tenant)
    believed = missing = surplus = 0
    for day in days:
        log = tenant.lake.read("event_log", [day])
        for family in facts.families:
            told = latest(log, family)
            claims = set(told.filter(told["is_true"])[family.key])
            true_now = set(facts.of(family, day)[family.key])
            believed += len(claims)
            missing += len(true_now - claims)
            # What is never taken back may stay in the log when its record moves.
            surplus += len(claims - true_now) if family.retracts else 0
    return CheckResult(
        name=FOLD.name,
        passed=not missing and not surplus,
        description=FOLD.description,
        evidence={"believed": believed, "missing": missing, "surplus": surplus},
    )


FOLD = Check(
    table="event_log",
    name="folds_to_facts",
    description="The fold of the event log, sent and withheld, equals transitions and crossings.",
    run=folds_to_facts,
)

STEPS: tuple[Step, ...] = (
    Step(
        name="referral_changes",
        group="delivery",
        outputs=("referral_changes",),
        inputs=("referral_events", "campaigns_history"),
        run=run_referral_changes,
        description="What became of campaigns, referrals and rewards, and what referrers and invitees did.",
    ),
    Step(
        name="event_log",
        group="delivery",
        outputs=("event_log",),
        inputs=SOURCES,
        run=run_event_log,
        description="Tells what changed: each transition and crossing once, retractions of what late data undid.",
    ),
)

CHECKS: tuple[Check, ...] = (FOLD,)
