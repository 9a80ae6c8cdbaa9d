"""What is asked: about whom, at the end of which day, by which definitions; and what a part of a rule comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipelines.calendar import Day, day_of
from pipelines.cohorts.explain.rows import Row, Rows
from pipelines.cohorts.language.rules import Cohort
from pipelines.config import Tenant
from pipelines.signals.demand import micros

#: Runs one SELECT over the tenant's tables and returns its rows.
Query = Callable[[str], Sequence[Sequence[Any]]]


@dataclass(frozen=True)
class Case:
    """A subject at the end of a day.

    Attributes:
        tenant: whose.
        definitions: every cohort by id.
        subject: visitor or customer.
        day: at whose end.
        rows: the subject's rows up to then.
        query: asks the tables about everyone, for bounds that depend on all subjects.
        before: (cohort id with key) -> since when the subject was a member when the day began, microseconds, or None.
    """

    tenant: Tenant
    definitions: Mapping[str, Cohort]
    subject: str
    day: Day
    rows: Rows
    query: Query
    before: Callable[[Cohort, str | None], int | None]
    bounds: dict[str, Any] = field(default_factory=dict)

    def start(self, day: date) -> int:
        """First instant of a tenant day, microseconds."""
        return micros(day_of(day, self.tenant.zone).start)


@dataclass(frozen=True)
class At:
    """For which rule, key and instant something is looked up.

    Attributes:
        cohort: whose parameters apply.
        key: of a family, else None.
        x: the instant, microseconds; what happens at it is seen.
    """

    cohort: Cohort
    key: str | None
    x: int


@dataclass
class Part:
    """A rule or a part of it, and what it comes to.

    Attributes:
        kind: ``all``, ``any``, ``none`` or what the leaf is.
        words: the part in words.
        holds: whether it is true.
        wanted: whether it has to be, for the whole to hold.
        says: what is looked at, its value, what that is compared with and by how much it is met or missed.
        stands: the same without what is looked at.
        value: the number as JSON shows it.
        bound: the same of what it is compared with.
        comparison: how they are compared.
        of_leaving: the bound is the one of leaving, since the subject was a member.
        source: where a bound that depends on others was taken from.
        gap: by how much it is met or missed, in words.
        rows: what the value is made of.
        terms: numbers that the value is computed from, in words, and what they are.
        parts: of ``all``, ``any`` and ``none``, and of a cohort that the leaf names.
    """

    kind: str
    words: str
    holds: bool
    wanted: bool = True
    says: str = ""
    stands: str = ""
    value: Any = None
    bound: Any = None
    comparison: str | None = None
    of_leaving: bool = False
    source: str | None = None
    gap: str | None = None
    rows: list[Row] = field(default_factory=list)
    terms: list[tuple[str, Any]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


def instant(at: int) -> datetime:
    """Microseconds as an instant."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def told(at: int) -> str:
    """Microseconds as an instant, written for people."""
    found = instant(at)
    whole = found.microsecond == 0
    return found.strftime("%Y-%m-%dT%H:%M:%SZ") if whole else found.isoformat().replace("+00:00", "Z")
