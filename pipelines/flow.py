"""The flow: every step in order, and the one way in which a step is executed.

The command line, Dagster's assets and the tests all come through ``execute``; which days need work is decided in
``pipelines.freshness``. No maths here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from pipelines.changes import RowChanges, before, row_changes
from pipelines.cohorts import steps as cohorts
from pipelines.config import Tenant
from pipelines.delivery import steps as delivery
from pipelines.entities import steps as entities
from pipelines.errors import MurmurError, UsageError
from pipelines.exports import steps as exports
from pipelines.facts import steps as facts
from pipelines.freshness import CARRIED, Freshness, reason
from pipelines.signals import steps as signals
from pipelines.step import Check, CheckResult, Step
from pipelines.storage.lake import Commit
from pipelines.visitor_signals import steps as visitor_signals

STEPS: tuple[Step, ...] = (
    *entities.STEPS,
    *facts.STEPS,
    *signals.STEPS,
    *visitor_signals.STEPS,
    *cohorts.STEPS,
    *delivery.STEPS,
    *exports.STEPS,
)

CHECKS: tuple[Check, ...] = (
    *entities.CHECKS,
    *facts.CHECKS,
    *signals.CHECKS,
    *visitor_signals.CHECKS,
    *cohorts.CHECKS,
    *delivery.CHECKS,
    *exports.CHECKS,
)


class CheckFailedError(MurmurError):
    """A blocking check does not hold, so what is downstream was not computed."""


@dataclass(frozen=True)
class Work:
    """What was computed of one step.

    Attributes:
        commits: by output.
        reasons: why each partition was computed; the key is None for a step without days.
        changes: by output and partition, how many rows differ from before; lake tables only.
        skipped: later days that were left alone, because the carried state before them is what it was.
    """

    commits: dict[str, Commit]
    reasons: dict[date | None, str] = field(default_factory=dict)
    changes: dict[str, dict[date | None, RowChanges]] = field(default_factory=dict)
    skipped: tuple[date, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What happened to one step.

    Attributes:
        step: the step.
        days: days that were computed; empty when everything was up to date.
        work: what was computed.
        checks: results of the checks of its outputs.
    """

    step: Step
    days: tuple[date, ...]
    work: Work
    checks: tuple[CheckResult, ...]

    @property
    def commits(self) -> dict[str, Commit]:
        """By output; empty when nothing was computed."""
        return self.work.commits


def execute(step: Step, tenant: Tenant, days: Sequence[date], tail: Sequence[date] = ()) -> dict[str, Commit]:
    """The commits of ``perform``."""
    return perform(step, tenant, days, tail).commits


def perform(step: Step, tenant: Tenant, days: Sequence[date], tail: Sequence[date] = ()) -> Work:
    """Publish a step's outputs for some days and remember which inputs they were made from.

    Args:
        step: what to compute.
        tenant: whose.
        days: in any order; ignored for a step without partitions.
        tail: later days that are published too as far as the state which the step carries has changed before them.

    Raises:
        ConflictError: another run published in between; run it again.
        ContractError: a result violates its contract; nothing was published.
    """
    ordered = sorted(set(days)) if step.partitioned else []
    if step.partitioned and not ordered:
        return Work({})
    further = [day for day in sorted(set(tail) - set(ordered)) if step.advance and day > ordered[0]]
    freshness = Freshness(tenant)
    # Fingerprints are taken before the inputs are read: a change in between makes the days stale, never silently fresh.
    seen = freshness.fingerprints(step, [*ordered, *further])
    recorded = freshness.recorded(step)
    was = {output: before(tenant.lake, output) for output in step.outputs}
    commits = step.advance(tenant, ordered, further) if step.advance else step.run(tenant, ordered)
    made = {day for commit in commits.values() for day in commit.rows} | set(ordered)
    freshness.record(step, {key: parts for key, parts in seen.items() if _day(key) in made or not step.partitioned})
    return Work(
        commits,
        {
            _day(key): _why(recorded.get(key), parts, _day(key) in further)
            for key, parts in seen.items()
            if _day(key) in made
        },
        {output: row_changes(tenant.lake, commit, was[output]) for output, commit in commits.items()},
        tuple(day for day in further if day not in made),
    )


def _why(recorded: Mapping[str, str] | None, now: Mapping[str, str], carried: bool) -> str:
    return CARRIED if carried else reason(recorded, dict(now))


def _day(key: str) -> date | None:
    return date.fromisoformat(key) if key else None


def check(tenant: Tenant, tables: Iterable[str], days: Sequence[date]) -> tuple[CheckResult, ...]:
    """Run every check of the tables over the days that were just published."""
    wanted = set(tables)
    return tuple(item.run(tenant, sorted(days)) for item in CHECKS if item.table in wanted)


def run(
    tenant: Tenant,
    first: date | None = None,
    last: date | None = None,
    select: Sequence[str] = (),
    *,
    force: bool = False,
    on_step: Callable[[Step, Sequence[date]], None] = lambda step, days: None,
) -> list[Outcome]:
    """Bring a tenant's tables up to date, step by step.

    Args:
        tenant: whose.
        first: earliest day asked for; the first day with data where not given. Days before it whose inputs changed are
            computed too, since what is later depends on them.
        last: latest day asked for; the last day with data where not given.
        select: names of steps, tables or groups; all where empty.
        force: compute the days in the range even where their inputs are what they were.
        on_step: told about each step and its days before it is computed.

    Raises:
        UsageError: the range is empty or a selected name is unknown.
        CheckFailedError: a blocking check failed; what is downstream was not computed.
    """
    steps = selected(select)
    before_all = Freshness(tenant)
    available = before_all.available_days()
    if first and last and last < first:
        raise UsageError(f"the range ends ({last}) before it begins ({first})")
    if not available and not before_all.anything_landed():
        raise UsageError(f"tenant {tenant.id!r} has no records yet; send some with: murmur ingest --tenant {tenant.id}")
    known = [day for day in available if (last is None or day <= last)]
    outcomes = []
    for step in steps:
        freshness = Freshness(tenant)
        stale = freshness.stale(step, known) if step.partitioned else []
        asked = [day for day in known if first is None or day >= first] if force else []
        days = sorted({*stale, *asked}) if step.partitioned else []
        if not (stale or asked or force or (not step.partitioned and freshness.due(step, known))):
            outcomes.append(Outcome(step, (), Work({}), ()))
            continue
        on_step(step, days)
        work = perform(step, tenant, days, known)
        computed = sorted(day for day in work.reasons if day)
        checks = check(tenant, step.outputs, computed)
        outcomes.append(Outcome(step, tuple(computed), work, checks))
        for result in checks:
            if result.blocking and not result.passed:
                raise CheckFailedError(
                    f"{step.name}: check {result.name} failed: {result.description} {result.evidence}"
                )
    return outcomes


def selected(names: Sequence[str]) -> list[Step]:
    """Steps by step name, output table or group, in the order of the flow; all when no name is given.

    Raises:
        UsageError: a name is none of these.
    """
    if not names:
        return list(STEPS)
    known = {step.name for step in STEPS} | {step.group for step in STEPS}
    known |= {output for step in STEPS for output in step.outputs}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"nothing to run is called {unknown[0]!r}; names: {', '.join(sorted(known))}")
    wanted = set(names)
    return [step for step in STEPS if wanted & {step.name, step.group, *step.outputs}]
