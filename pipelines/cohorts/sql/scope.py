"""What a part of a rule is computed for: whose parameters, at which instants of which subjects, on which day."""

# ruff: noqa: S608 (names and numbers of checked definitions only)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines.calendar import day_of
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.values import AnyIn, AtLeast, AtMost, Where
from pipelines.cohorts.language.vocabulary import PRODUCT, streams
from pipelines.cohorts.sql.statement import Number, Statement, among, quoted
from pipelines.cohorts.sql.streams import LISTS, add_stream
from pipelines.errors import UsageError


@dataclass(frozen=True)
class Context:
    """What is the same for the whole statement.

    Attributes:
        cohorts: every cohort by id.
        day: the day at whose end members are asked for.
        zone: of the tenant.
        currency: of the tenant.
        statement: what is being written.
        tables: whether streams are read from the lake's tables; else relations with their names are there.
    """

    cohorts: Mapping[str, Cohort]
    day: date
    zone: ZoneInfo
    currency: str
    tables: bool = True
    as_of: int | None = None
    groups: bool = False
    statement: Statement = field(default_factory=Statement)

    def start(self, day: date) -> int:
        """First microsecond of a day."""
        return micros(day_of(day, self.zone).start)

    @property
    def x(self) -> int:
        """The last microsecond that counts."""
        return (self.as_of if self.as_of is not None else self.start(self.day + timedelta(days=1))) - 1

    @property
    def said(self) -> str:
        """The instant for people."""
        last = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.x + 1)
        return f"end of {self.day}" if self.as_of is None else f"as of {last.isoformat()}"

    def relation(self, subject: str, stream: str) -> str:
        """Name of the relation that holds a stream."""
        name = relation_name(subject, stream)
        if self.tables:
            name += "_in_groups" if name == "customer_order" and self.groups else ""
            add_stream(self.statement, name, self.start(self.day), self.currency)
        return name


@dataclass(frozen=True)
class Scope:
    """Subjects and instants that a rule is decided for.

    Attributes:
        cohort: whose rule and parameters.
        moments: relation with ``subject``, in a family ``key``, and ``x``: the instant, in microseconds.
        day: the day whose end all instants are, minus one microsecond; None where they differ.
    """

    cohort: Cohort
    moments: str
    day: date | None

    @property
    def by_day(self) -> bool:
        """Whether windows are tenant days."""
        return self.cohort.evaluate == "day"

    @property
    def columns(self) -> list[str]:
        """What identifies a row of ``moments``."""
        return ["subject", "key", "x"] if self.cohort.for_each else ["subject", "x"]

    @property
    def using(self) -> str:
        """The columns for USING."""
        return f"({', '.join(self.columns)})"

    @property
    def shown(self) -> str:
        """The columns of ``m`` for a select list."""
        return ", ".join(f"m.{name}" for name in self.columns)

    def param(self, reference: str) -> Number:
        """A parameter as number, with its name beside it."""
        name = reference.removeprefix("$")
        value = f"{self.cohort.param(name)} /* ${name}: {self.cohort.params[name].value} */"
        # Ratios are thousandths.
        return Number(value, "1000" if self.cohort.params[name].unit == "ratio" else "1")

    def duration(self, reference: str) -> str:
        """A duration in microseconds, with its name beside it."""
        return self.param(reference).num

    def days(self, reference: str) -> int:
        """A duration in whole days.

        Raises:
            UsageError: it is not.
        """
        days, rest = divmod(self.cohort.param(reference), 86_400_000_000)
        if rest:
            raise UsageError(
                f"cohort {self.cohort.id}: params.{reference[1:]}: is not a number of whole days, which evaluate: day "
                "needs; write it in days, such as 7d"
            )
        return days


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an instant."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def relation_name(subject: str, stream: str) -> str:
    """Name of the relation of a stream: ``visitor_view``, ``customer_order``, ``product_crossing``."""
    return f"{'product' if stream in PRODUCT else subject}_{stream}"


def rows_of(ctx: Context, scope: Scope, stream: str, where: Where) -> str:
    """Relation with the rows of a stream that a condition can be asked of: with the states of signals it needs.

    Raises:
        UsageError: there is no such stream.
    """
    subject = scope.cohort.subject
    if stream not in streams(subject):
        raise UsageError(
            f"cohort {scope.cohort.id}: {stream!r} is not a stream of a {subject}; "
            f"streams: {', '.join(sorted(streams(subject)))}"
        )
    relation = ctx.relation(subject, stream)
    for name in sorted(each for each in where if each.startswith("signal.")):
        relation = _with_state(ctx, relation, name)
    return relation


def _with_state(ctx: Context, relation: str, column: str) -> str:
    signal = column.removeprefix("signal.")
    crossing = ctx.relation("product", "crossing")
    own = ctx.statement.add(
        f"{signal}_crossing",
        f"SELECT c.product_id, c.at, c.to_state FROM {crossing} c WHERE c.signal = {quoted(signal)}",
    )
    return ctx.statement.add(
        f"{relation}_with_{signal}",
        f"""
        SELECT s.*, c.to_state AS "{column}"
        FROM {relation} s ASOF LEFT JOIN {own} c ON c.product_id = s.product_id AND c.at <= s.at
        """,
    )


def conditions(scope: Scope, where: Where, row: str) -> str:
    """Conditions of ``where`` as further conditions of a row: each begins with AND."""
    return "".join(f" AND {_condition(scope, name, wanted, row)}" for name, wanted in where.items())


def _condition(scope: Scope, name: str, wanted: object, row: str) -> str:
    column = f'{row}."{name}"' if "." in name else f"{row}.{name}"
    if isinstance(wanted, AtLeast):
        return f"{column} >= {scope.param(wanted.at_least).num}"
    if isinstance(wanted, AtMost):
        return f"{column} <= {scope.param(wanted.at_most).num}"
    if isinstance(wanted, bool):
        return column if wanted else f"NOT {column}"
    values = wanted.any_in if isinstance(wanted, AnyIn) else (str(wanted),)
    if name in LISTS:
        return f"list_has_any({column}, [{', '.join(quoted(value) for value in values)}])"
    return f"{column} IN {among(values)}" if len(values) > 1 else f"{column} = {quoted(values[0])}"


def has_key(scope: Scope, stream: str) -> str:
    """Further condition that a row ``s`` of a stream belongs to the key of the moment ``m``; none outside families."""
    field = scope.cohort.for_each
    if field is None:
        return ""
    if field not in streams(scope.cohort.subject)[stream].fields:
        return " AND false"
    return f" AND list_contains(s.{field}, m.key)" if field in LISTS else f" AND s.{field} = m.key"
